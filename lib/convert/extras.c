/* convert/extras.c - sound, floppies, parallel ports, shared folders; addresses. */
#include "convert/extras.h"

#include <string.h>

#include "base/text.h"

#define VRAM_LEAST ((guint64)1 << 20)
#define PORT_MAX   65535

static bool
is_one(const char *value, const char *word)
{
    return value != NULL && g_ascii_strcasecmp(value, word) == 0;
}

Sound
ireko_extra_sound(const Account *account)
{
    const char *model = ireko_account_get(account, "sound", "virtualDev");
    if (!ireko_account_flag(account, "sound", "present", false))
        return SOUND_NONE;
    return is_one(model, "hdaudio") ? SOUND_HDA : is_one(model, "sb16") ? SOUND_SB16 : SOUND_ES1371;
}

static const char *
connected_file(const Account *account, const char *device)
{
    const char *file = ireko_account_get(account, device, "fileName");
    bool connected = ireko_account_flag(account, device, "startConnected", true) &&
                     !ireko_account_flag(account, device, "clientDevice", false);
    return connected && file != NULL && *file != '\0' ? file : NULL;
}

bool
ireko_extra_floppy(const Account *account, const char *device, const char **ret_file)
{
    *ret_file = connected_file(account, device);
    return ireko_account_flag(account, device, "present", false);
}

bool
ireko_extra_parallel(const Account *account, const char *device, const char **ret_file)
{
    *ret_file = connected_file(account, device);
    return ireko_account_flag(account, device, "present", false);
}

bool
ireko_extra_folder(const Account *account, const char *device, Folder *ret_folder)
{
    const char *path = ireko_account_get(account, device, "hostPath");
    const char *name = ireko_account_get(account, device, "guestName");
    bool writable = ireko_account_flag(account, device, "writeAccess", false);
    *ret_folder = (Folder){path, name, writable};
    return ireko_account_flag(account, device, "present", false) &&
           ireko_account_flag(account, device, "enabled", true) && path != NULL && *path != '\0' &&
           name != NULL && *name != '\0';
}

void
ireko_extra_say_folder(Account *account, const char *device, const Folder *folder, const char *how)
{
    ireko_account_say(account, device, "present", APPROXIMATED, "%s", how);
    ireko_account_say_each(account, device, "enabled readAccess", CARRIED, how);
    ireko_account_say(account, device, "writeAccess", CARRIED,
                      folder->writable ? "the guest may write" : "read-only");
}

unsigned
ireko_extra_vram(const Account *account, unsigned most)
{
    const char *bytes = ireko_account_get(account, "svga", "vramSize");
    uint64_t vram = 0;
    if (bytes == NULL || !ireko_text_parse_unsigned(bytes, 10, VRAM_LEAST, most, &vram))
        return 0;
    return (unsigned)vram;
}

bool
ireko_extra_remote(const char *uri, Remote *ret_remote)
{
    const char *rest = strstr(uri, "://");
    rest = rest != NULL ? rest + 3 : uri;
    const char *colon = strrchr(rest, ':');
    uint64_t port = 0;
    if (colon == NULL || !ireko_text_parse_unsigned(colon + 1, 10, 1, PORT_MAX, &port))
        return false;
    ret_remote->telnet = g_ascii_strncasecmp(uri, "telnet", strlen("telnet")) == 0;
    ret_remote->host = colon == rest ? NULL : g_strndup(rest, (size_t)(colon - rest));
    ret_remote->port = (unsigned)port;
    return true;
}

bool
ireko_extra_is_client(const Account *account, const char *device, const char *attr)
{
    return is_one(ireko_account_get(account, device, attr), "client");
}

void
ireko_extra_say_mac(Account *account, const char *device, const char *mac, const char *words)
{
    static const char *const attrs[] = {"address", "generatedAddress"};
    for (size_t i = 0; i < G_N_ELEMENTS(attrs); i++) {
        const char *address = ireko_account_get(account, device, attrs[i]);
        g_autofree char *plain = address == NULL ? NULL : g_ascii_strdown(address, -1);
        bool counts =
            plain != NULL && mac != NULL && strcmp(g_strdelimit(plain, "-", ':'), mac) == 0;
        ireko_account_say(account, device, attrs[i], counts ? CARRIED : DROPPED, "%s",
                          counts ? words : "the other address counts");
    }
    ireko_account_say(account, device, "addressType", CARRIED, "%s",
                      mac != NULL ? words : "an address is made up");
}
