/* host/dmi.c - what the firmware's tables call this machine, and which cloud that is.
 *
 * Serial numbers, UUIDs and asset tags say which machine it is, not what; they are not read, but
 * for the chassis's asset tag where it is one of those that a cloud gives to all its machines.
 * The names are those that cloud-init (tools/ds-identify) and systemd look for.
 */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "host/parts.h"

typedef enum { SYS_VENDOR, PRODUCT_NAME, PRODUCT_VERSION, BIOS_VERSION, ASSET_TAG } Field;

static const struct {
    Field field;
    const char *begins;
    const char *cloud;
} clouds[] = {
    {ASSET_TAG, "7783-7084-3265-9085-8269-3286-77", "azure"}, /* "MSFT AZURE VM" in ASCII codes */
    {ASSET_TAG, "OracleCloud.com", "oracle"},
    {ASSET_TAG, "HUAWEICLOUD", "huawei"},
    {ASSET_TAG, "OpenTelekomCloud", "otc"},
    {ASSET_TAG, "SAP CCloud VM", "sap"},
    {ASSET_TAG, "OpenStack Nova", "openstack"},
    {ASSET_TAG, "OpenStack Compute", "openstack"},
    {SYS_VENDOR, "Amazon EC2", "aws"},
    {SYS_VENDOR, "DigitalOcean", "digitalocean"},
    {SYS_VENDOR, "Hetzner", "hetzner"},
    {SYS_VENDOR, "Alibaba Cloud", "alibaba"},
    {SYS_VENDOR, "Vultr", "vultr"},
    {SYS_VENDOR, "Scaleway", "scaleway"},
    {SYS_VENDOR, "UpCloud", "upcloud"},
    {SYS_VENDOR, "Akamai", "akamai"},
    {SYS_VENDOR, "Linode", "akamai"},
    {SYS_VENDOR, "NWCS", "nwcs"},
    {SYS_VENDOR, "3DS Outscale", "outscale"},
    {SYS_VENDOR, "e24cloud", "e24cloud"},
    {SYS_VENDOR, "Tencent Cloud", "tencent"},
    {PRODUCT_NAME, "Google Compute Engine", "gcp"},
    {PRODUCT_NAME, "Alibaba Cloud ECS", "alibaba"},
    {PRODUCT_NAME, "Exoscale", "exoscale"},
    {PRODUCT_NAME, "CloudStack", "cloudstack"},
    {PRODUCT_NAME, "SmartDC", "smartos"},
    {PRODUCT_NAME, "OpenStack Nova", "openstack"},
    {PRODUCT_NAME, "OpenStack Compute", "openstack"},
};

static const char *
field_of(const IrekoDmi *dmi, Field field)
{
    switch (field) {
    case SYS_VENDOR:
        return dmi->sys_vendor;
    case PRODUCT_NAME:
        return dmi->product_name;
    case PRODUCT_VERSION:
        return dmi->product_version;
    case BIOS_VERSION:
        return dmi->bios_version;
    case ASSET_TAG:
        return dmi->chassis_asset_tag;
    }
    return NULL;
}

static const char *
cloud_where(const IrekoDmi *dmi, bool asset_tags)
{
    for (size_t i = 0; i < G_N_ELEMENTS(clouds); i++) {
        const char *text = field_of(dmi, clouds[i].field);
        if ((clouds[i].field == ASSET_TAG) == asset_tags && text != NULL &&
            g_str_has_prefix(text, clouds[i].begins))
            return clouds[i].cloud;
    }
    return NULL;
}

const char *
ireko_host_cloud(const IrekoDmi *dmi)
{
    const char *cloud = cloud_where(dmi, true);
    if (cloud == NULL)
        cloud = cloud_where(dmi, false);
    if (cloud != NULL)
        return cloud;
    /* EC2 on Xen: "4.11.amazon" */
    bool amazon = (dmi->bios_version != NULL && strstr(dmi->bios_version, ".amazon") != NULL) ||
                  (dmi->product_version != NULL && strstr(dmi->product_version, ".amazon") != NULL);
    return amazon ? "aws" : NULL;
}

IrekoDmi
ireko_host_read_dmi(int root_fd)
{
    IREKO_AUTOFD fd = ireko_host_open(root_fd, "sys/class/dmi/id", O_DIRECTORY);
    IrekoDmi dmi = {.sys_vendor = NULL};
    if (fd < 0)
        return dmi;
    dmi.sys_vendor = ireko_host_line(fd, "sys_vendor");
    dmi.product_name = ireko_host_line(fd, "product_name");
    dmi.product_version = ireko_host_line(fd, "product_version");
    dmi.board_vendor = ireko_host_line(fd, "board_vendor");
    dmi.bios_vendor = ireko_host_line(fd, "bios_vendor");
    dmi.bios_version = ireko_host_line(fd, "bios_version");
    dmi.chassis_asset_tag = ireko_host_line(fd, "chassis_asset_tag");
    if (cloud_where(&dmi, true) == NULL)
        g_clear_pointer(&dmi.chassis_asset_tag, g_free);
    return dmi;
}

void
ireko_host_clear_dmi(IrekoDmi *dmi)
{
    g_free(dmi->sys_vendor);
    g_free(dmi->product_name);
    g_free(dmi->product_version);
    g_free(dmi->board_vendor);
    g_free(dmi->bios_vendor);
    g_free(dmi->bios_version);
    g_free(dmi->chassis_asset_tag);
}
