/* lab/network/interfaces.c - interfaces by the kernel's old calls: one structure each
 * (netdevice(7)), and no program or library needed in an image.
 *
 * A card that guests lead on by is a port of a bridge, and the bridge has the card's addresses. The
 * bridge learns which address is behind which port; the card itself takes every frame then, which
 * is its own layer's business: what is outside sees frames of many senders come from one port and
 * learns them.
 *
 * A clone is told its addresses before it counts as ready, and each kind of call that it makes is
 * code that TCG translates first (docs/design/boot.md): so there is one socket, the kernel is asked
 * by calls and not by files, and what is right already is left alone. */
#include "lab/network/interfaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "machine/address.h"

#define MODULES      "/usr/lib/modules"
#define MODULES_LIST MODULES "/network" /* lib/image/modules.c: "- FILE FILE ..." */
#define LIST_MAX     ((size_t)64 << 10)
#define RESOLV_CONF  "/run/resolv.conf"
#define CARD_WAIT_MS 2000 /* for a card's driver to make its interface */
#define CARD_POLL_US 5000
#define BRIDGE       "br%d" /* by the card that leads on; "br-in" where none does */
#define BRIDGE_IN    "br-in"

/* ---- calls ---- */

/* The socket that the calls are made on: nobody's to close. */
static int
calls_fd(void)
{
    static gsize made;
    static int fd = -1;
    if (g_once_init_enter(&made)) {
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        g_once_init_leave(&made, 1);
    }
    return fd;
}

static bool
fail(const char *what, const char *name, GError **error)
{
    ireko_error_from_errno(error, errno, "cannot %s '%s'", what, name);
    return false;
}

static struct ifreq
request_for(const char *name)
{
    struct ifreq request = {0};
    (void)g_strlcpy(request.ifr_name, name, IFNAMSIZ);
    return request;
}

/* ---- names ---- */

static bool
read_line(const char *interface, const char *what, char *line, size_t room)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/%s", interface, what);
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, LIST_MAX, NULL, NULL);
    if (text == NULL)
        return false;
    (void)g_strlcpy(line, g_strstrip(text), room);
    return true;
}

/* A setting of INTERFACE in /sys. */
static bool
write_setting(const char *interface, const char *what, const char *value)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/%s", interface, what);
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

/* The kernel's number of the interface of each card that was looked for, 0: of none yet. An
 * interface may get another name, its number is never given again. */
static int numbers[IREKO_NET_CARDS_MAX];

static bool
name_of_number(int number, char name[IFNAMSIZ])
{
    struct ifreq request = {.ifr_ifindex = number};
    return number != 0 && ioctl(calls_fd(), SIOCGIFNAME, &request) == 0 &&
           g_strlcpy(name, request.ifr_name, IFNAMSIZ) < IFNAMSIZ;
}

static bool
look_up(unsigned index, char name[IFNAMSIZ])
{
    if (index >= IREKO_NET_CARDS_MAX)
        return false;
    if (name_of_number(g_atomic_int_get(&numbers[index]), name))
        return true;
    g_autofree char *path =
        g_strdup_printf("/sys/bus/pci/devices/0000:00:%02x.0/net", IREKO_SLOT_ETHERNET + index);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *entry = dir != NULL ? g_dir_read_name(dir) : NULL;
    if (entry == NULL || g_strlcpy(name, entry, IFNAMSIZ) >= IFNAMSIZ)
        return false;
    g_atomic_int_set(&numbers[index], (int)if_nametoindex(name));
    return true;
}

/* The interface of the card INDEX, by the slot that it stands in: addresses change, slots do not.
 */
static bool
find_interface(unsigned index, char name[IFNAMSIZ], GError **error)
{
    for (int waited = 0; !look_up(index, name); waited += CARD_POLL_US) {
        if (waited > CARD_WAIT_MS * 1000) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                        "the card ethernet%u has no interface here: no driver took it", index);
            return false;
        }
        g_usleep(CARD_POLL_US);
    }
    return true;
}

static void
bridge_name(int uplink, char name[IFNAMSIZ])
{
    if (uplink == IREKO_BRIDGE_INSIDE)
        (void)g_strlcpy(name, BRIDGE_IN, IFNAMSIZ);
    else
        (void)g_snprintf(name, IFNAMSIZ, BRIDGE, uplink);
}

/* What has the addresses of the card INDEX, whose interface is NAME: it, or its bridge. */
static void
top_name(unsigned index, bool bridged, const char *name, char top[IFNAMSIZ])
{
    if (bridged)
        bridge_name((int)index, top);
    else
        (void)g_strlcpy(top, name, IFNAMSIZ);
}

/* The gateway of the default route that was set last: it is there as long as no card goes down or
 * gets another address. 0: it has to be set. */
static int routed;

/* ---- MAC addresses ---- */

static bool
is_up(const char *name)
{
    struct ifreq request = request_for(name);
    return ioctl(calls_fd(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
}

static bool
set_up(const char *name, bool up, GError **error)
{
    struct ifreq request = request_for(name);
    if (ioctl(calls_fd(), SIOCGIFFLAGS, &request) != 0)
        return fail("look at the interface", name, error);
    if (((request.ifr_flags & IFF_UP) != 0) == up)
        return true;
    g_atomic_int_set(&routed, 0);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    return ioctl(calls_fd(), SIOCSIFFLAGS, &request) == 0 ||
           fail("set up the interface", name, error);
}

/* The address of the interface NAME; "" where it has none. */
static void
get_mac(const char *name, char mac[IREKO_MAC_TEXT])
{
    struct ifreq request = request_for(name);
    *mac = '\0';
    if (ioctl(calls_fd(), SIOCGIFHWADDR, &request) == 0)
        ireko_mac_print((const uint8_t *)request.ifr_hwaddr.sa_data, mac);
}

static bool
has_mac(const char *name, const char *mac)
{
    char now[IREKO_MAC_TEXT];
    get_mac(name, now);
    return strcmp(now, mac) == 0;
}

static bool
set_mac(const char *name, const char *mac, GError **error)
{
    if (has_mac(name, mac))
        return true;
    struct ifreq request = request_for(name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    return ireko_mac_parse(mac, (uint8_t *)request.ifr_hwaddr.sa_data) &&
           set_up(name, false, error) &&
           (ioctl(calls_fd(), SIOCSIFHWADDR, &request) == 0 ||
            fail("give its address to the interface", name, error));
}

/* A card that was down may go by another address again than it was given: QEMU's vmxnet3 goes back
 * to the one of its command line, which a clone has from its template, and takes no frames for the
 * new one. So it is told again when it is up. A card that takes none then has kept it. */
static void
repeat_mac(const char *name, const char *mac)
{
    struct ifreq request = request_for(name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    if (ireko_mac_parse(mac, (uint8_t *)request.ifr_hwaddr.sa_data))
        (void)ioctl(calls_fd(), SIOCSIFHWADDR, &request);
}

bool
ireko_interfaces_mac(unsigned index, const char *mac, char ret_mac[IREKO_MAC_TEXT], GError **error)
{
    char name[IFNAMSIZ];
    if (!find_interface(index, name, error))
        return false;
    if (mac != NULL && !has_mac(name, mac)) {
        bool was_up = is_up(name);
        if (!set_mac(name, mac, error) || !set_up(name, was_up, error))
            return false;
        if (was_up)
            repeat_mac(name, mac);
    }
    get_mac(name, ret_mac);
    return true;
}

/* ---- addresses and ways ---- */

static uint32_t
get_address(const char *name, unsigned long call)
{
    struct ifreq request = request_for(name);
    struct sockaddr_in address = {0};
    if (ioctl(calls_fd(), call, &request) == 0)
        memcpy(&address, &request.ifr_addr, sizeof address);
    return ntohl(address.sin_addr.s_addr);
}

static bool
set_address(const char *name, uint32_t value, unsigned long call, GError **error)
{
    struct ifreq request = request_for(name);
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(value)}};
    memcpy(&request.ifr_addr, &address, sizeof address);
    return ioctl(calls_fd(), call, &request) == 0 ||
           fail("give an address to the interface", name, error);
}

/* ADDRESS 0: it has none. */
static bool
set_ip(const char *name, uint32_t address, unsigned prefix, GError **error)
{
    uint32_t mask = prefix > 0 ? ~0u << (32 - prefix) : 0;
    if (get_address(name, SIOCGIFADDR) == address &&
        (address == 0 || get_address(name, SIOCGIFNETMASK) == mask))
        return true;
    g_atomic_int_set(&routed, 0);
    return set_address(name, address, SIOCSIFADDR, error) &&
           (address == 0 || set_address(name, mask, SIOCSIFNETMASK, error));
}

static bool
set_default_route(uint32_t gateway, GError **error)
{
    if ((uint32_t)g_atomic_int_get(&routed) == gateway)
        return true;
    const struct sockaddr_in any = {.sin_family = AF_INET};
    const struct sockaddr_in way = {.sin_family = AF_INET, .sin_addr = {htonl(gateway)}};
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    memcpy(&route.rt_dst, &any, sizeof any);
    memcpy(&route.rt_genmask, &any, sizeof any);
    memcpy(&route.rt_gateway, &way, sizeof way);
    if (ioctl(calls_fd(), SIOCADDRT, &route) != 0 && errno != EEXIST) {
        ireko_error_from_errno(error, errno, "cannot set the default route");
        return false;
    }
    g_autofree char *server = ireko_address_print(gateway + 1); /* engine/qemu/nics.c: dns */
    g_autofree char *text = g_strdup_printf("nameserver %s\n", server);
    if (!ireko_file_replace(RESOLV_CONF, text, strlen(text), 0644, error))
        return false;
    g_atomic_int_set(&routed, (int)gateway);
    return true;
}

/* ---- bridges ---- */

/* Loads what the list names; what is loaded already is no error. */
static bool
load_modules(GError **error)
{
    g_autofree char *list = ireko_file_read(AT_FDCWD, MODULES_LIST, LIST_MAX, NULL, error);
    g_auto(GStrv) words = list != NULL ? g_strsplit_set(list, " \n", -1) : NULL;
    for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
        if (!g_str_has_suffix(words[i], ".ko"))
            continue;
        g_autofree char *path = g_build_filename(MODULES, words[i], NULL);
        IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
            return fail("load the module", path, error);
    }
    return list != NULL;
}

static bool
add_port(const char *bridge, const char *port, GError **error)
{
    struct ifreq request = request_for(bridge);
    request.ifr_ifindex = (int)if_nametoindex(port);
    return ioctl(calls_fd(), SIOCBRADDIF, &request) == 0 ||
           errno == EBUSY || /* it is one already */
           fail("make a port of the bridge of the interface", port, error);
}

static bool
make_bridge(const char *name, GError **error)
{
    if (if_nametoindex(name) != 0)
        return true;
    if (!load_modules(error))
        return false;
    if (ioctl(calls_fd(), SIOCBRADDBR, name) != 0 && errno != EEXIST)
        return fail("make the bridge", name, error);
    /* Frames pass at once, and groups' frames everywhere: nobody asks for them by IGMP here. */
    (void)write_setting(name, "bridge/forward_delay", "0");
    (void)write_setting(name, "bridge/multicast_snooping", "0");
    return true;
}

/* ---- the whole ---- */

static bool
has_uplink(const GArray *uplinks, int uplink)
{
    for (unsigned i = 0; i < uplinks->len; i++) {
        if (g_array_index(uplinks, int, i) == uplink)
            return true;
    }
    return false;
}

static bool
set_card(const IrekoCard *card, bool bridged, GError **error)
{
    char name[IFNAMSIZ], top[IFNAMSIZ]; /* what has the addresses */
    if (!find_interface(card->index, name, error))
        return false;
    bool other = !has_mac(name, card->mac) || !is_up(name);
    if (!set_mac(name, card->mac, error))
        return false;
    top_name(card->index, bridged, name, top);
    if (bridged && (!make_bridge(top, error) || !set_ip(name, 0, 0, error) ||
                    !set_mac(top, card->mac, error) || !add_port(top, name, error)))
        return false;
    if (!set_up(name, true, error))
        return false;
    if (other)
        repeat_mac(name, card->mac);
    return set_up(top, true, error) && set_ip(top, card->address, card->prefix, error);
}

bool
ireko_interfaces_set(const GPtrArray *cards, const GArray *uplinks, GError **error)
{
    uint32_t gateway = 0;
    for (unsigned i = 0; i < cards->len; i++) {
        const IrekoCard *card = cards->pdata[i];
        if (!set_card(card, has_uplink(uplinks, (int)card->index), error))
            return false;
        if (gateway == 0)
            gateway = card->gateway;
    }
    if (has_uplink(uplinks, IREKO_BRIDGE_INSIDE) &&
        (!make_bridge(BRIDGE_IN, error) || !set_up(BRIDGE_IN, true, error)))
        return false;
    return gateway == 0 || set_default_route(gateway, error);
}

GArray *
ireko_interfaces_read(const GPtrArray *cards, const GArray *uplinks)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(IrekoInterface));
    for (unsigned i = 0; i < cards->len; i++) {
        const IrekoCard *card = cards->pdata[i];
        IrekoInterface one = {.card = card->index};
        char name[IFNAMSIZ];
        if (!look_up(card->index, name))
            continue;
        top_name(card->index, has_uplink(uplinks, (int)card->index), name, one.name);
        get_mac(name, one.mac);
        one.address = get_address(one.name, SIOCGIFADDR);
        uint32_t mask = one.address != 0 ? get_address(one.name, SIOCGIFNETMASK) : 0;
        one.prefix = (unsigned)__builtin_popcount(mask);
        g_array_append_val(found, one);
    }
    return found;
}

int
ireko_interfaces_tap(const char *name, const IrekoCard *card, GError **error)
{
    char bridge[IFNAMSIZ];
    bridge_name(card->uplink, bridge);
    if (!make_bridge(bridge, error) || !set_up(bridge, true, error))
        return -1;
    struct ifreq request = {.ifr_name = "tap%d", .ifr_flags = IFF_TAP | IFF_NO_PI};
    IREKO_AUTOFD tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) != 0) {
        (void)fail("make a tap of", "/dev/net/tun", error);
        return -1;
    }
    g_autofree char *alias = g_strdup_printf("%s ethernet%u", name, card->index);
    (void)write_setting(request.ifr_name, "ifalias", alias);
    if (!add_port(bridge, request.ifr_name, error) || !set_up(request.ifr_name, true, error))
        return -1;
    return ireko_fd_steal(&tap);
}

/* The bridge that NAME is a port of, or NAME. */
static void
find_top(const char *name, char top[IFNAMSIZ])
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/master", name);
    g_autofree char *target = g_file_read_link(path, NULL);
    g_autofree char *base = g_path_get_basename(target != NULL ? target : name);
    (void)g_strlcpy(top, base, IFNAMSIZ);
}

bool
ireko_interfaces_top(unsigned index, char *name, GError **error)
{
    char own[IFNAMSIZ];
    if (!find_interface(index, own, error))
        return false;
    find_top(own, name);
    return true;
}

char *
ireko_interfaces_label(const char *interface)
{
    char alias[256] = "";
    int uplink = 0;
    if (read_line(interface, "ifalias", alias, sizeof alias) && *alias != '\0')
        return g_strdup(alias);
    if (sscanf(interface, BRIDGE, &uplink) == 1)
        return g_strdup_printf("bridge %d", uplink);
    for (unsigned i = 0; i < IREKO_NET_CARDS_MAX; i++) {
        char name[IFNAMSIZ];
        if (look_up(i, name) && strcmp(name, interface) == 0)
            return g_strdup_printf("ethernet%u", i);
    }
    return g_strdup(interface);
}
