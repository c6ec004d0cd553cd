/* lab/clone/become.c - this machine becomes another one: clock, names, addresses, random numbers.
 *
 * What the kernel keeps and gives nobody a way to change - the UUID that it once read from the
 * firmware's tables, the boot ID - has a file of our own laid over the one that shows it, from its
 * birth on, since a clone has no time to mount. What is told as the new identity is read back from
 * where everybody in the machine reads it. */
#include "lab/clone/become.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "lab/network/interfaces.h"

#define OWN_FOLDER      "/run/ireko"
#define OWN_MACHINE_ID  "/run/machine-id" /* /etc/machine-id leads there */
#define MACHINE_ID      "/etc/machine-id"
#define PRODUCT_UUID    "/sys/class/dmi/id/product_uuid"
#define BOOT_ID         "/proc/sys/kernel/random/boot_id"
#define SCSI_FOLDER     "/sys/class/scsi_disk"
#define SHOWN_MAX       ((size_t)4096)
#define MACHINE_ID_SIZE 16

static bool
fail(const char *what, GError **error)
{
    ireko_error_from_errno(error, errno, "cannot change %s", what);
    return false;
}

/* What PATH shows, without its line end. */
static char *
shown_by(const char *path)
{
    char *text = ireko_file_read(AT_FDCWD, path, SHOWN_MAX, NULL, NULL);
    return text != NULL ? g_strchomp(text) : g_strdup("");
}

/* Writes TEXT and a line end into PATH, whose inode stays: another file may be covered by it. It is
 * cut only where it was longer, which an identity is not. */
static bool
write_line(const char *path, const char *text, GError **error)
{
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    off_t len = (off_t)strlen(line);
    struct stat old;
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    if (fd >= 0 && pwrite(fd, line, (size_t)len, 0) == len && fstat(fd, &old) == 0 &&
        (old.st_size == len || ftruncate(fd, len) == 0))
        return true;
    return fail(path, error);
}

static char *
cover_of(const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    return g_build_filename(OWN_FOLDER, base, NULL);
}

/* Lays a file that shows the same over PATH, a file of the kernel's. */
static void
cover(const char *path)
{
    g_autofree char *own = cover_of(path);
    g_autofree char *text = shown_by(path);
    if (write_line(own, text, NULL))
        (void)mount(own, path, NULL, MS_BIND, NULL);
}

/* Has PATH, which was covered, show TEXT. */
static bool
show(const char *path, const char *text, GError **error)
{
    g_autofree char *own = cover_of(path);
    return write_line(own, text, error);
}

static bool
set_clock(int64_t time_us, GError **error)
{
    const struct timespec now = {.tv_sec = (time_t)(time_us / G_USEC_PER_SEC),
                                 .tv_nsec = (long)(time_us % G_USEC_PER_SEC) * 1000};
    return clock_settime(CLOCK_REALTIME, &now) == 0 || fail("the clock", error);
}

/* Mixes SEED into the kernel's random numbers and has them drawn anew from there. */
static bool
reseed(uint8_t seed[IREKO_IDENTITY_SEED_BYTES], GError **error)
{
    /* struct rand_pool_info: bits of entropy, bytes, and these */
    uint32_t pool[2 + IREKO_IDENTITY_SEED_BYTES / 4] = {8 * IREKO_IDENTITY_SEED_BYTES,
                                                        IREKO_IDENTITY_SEED_BYTES};
    memcpy(&pool[2], seed, IREKO_IDENTITY_SEED_BYTES);
    IREKO_AUTOFD fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    bool done = fd >= 0 && ioctl(fd, RNDADDENTROPY, pool) == 0 && ioctl(fd, RNDRESEEDCRNG) == 0;
    explicit_bzero(pool, sizeof pool);
    explicit_bzero(seed, IREKO_IDENTITY_SEED_BYTES);
    return done || fail("the random numbers", error);
}

/* ---- cards ---- */

/* Gives CARD its address, or (STAYS) only looks which it has. */
static bool
become_card(IrekoIdentityCard *card, bool stays, GError **error)
{
    char *now = NULL;
    if (!ireko_interfaces_mac(card->index, stays ? NULL : card->mac, &now, error))
        return false;
    g_free(card->mac);
    card->mac = now;
    return true;
}

/* ---- the whole ---- */

void
ireko_become_rescan(void)
{
    g_autoptr(GDir) folder = g_dir_open(SCSI_FOLDER, 0, NULL);
    for (const char *name; folder != NULL && (name = g_dir_read_name(folder)) != NULL;) {
        g_autofree char *path = g_build_filename(SCSI_FOLDER, name, "device", "rescan", NULL);
        (void)write_line(path, "1", NULL);
    }
}

static void
read_back(IrekoIdentity *identity)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    g_free(identity->host);
    identity->host = g_strdup(host);
    g_free(identity->uuid);
    identity->uuid = shown_by(PRODUCT_UUID);
    g_free(identity->machine_id);
    identity->machine_id = shown_by(MACHINE_ID);
    g_free(identity->boot_id);
    identity->boot_id = shown_by(BOOT_ID);
    identity->time_us = g_get_real_time();
}

static bool
take_names(const IrekoIdentity *identity, GError **error)
{
    if (sethostname(identity->host, strlen(identity->host)) != 0)
        return fail("the host name", error);
    return write_line(OWN_MACHINE_ID, identity->machine_id, error) &&
           show(PRODUCT_UUID, identity->uuid, error) && show(BOOT_ID, identity->boot_id, error) &&
           write_line(IREKO_BECOME_PATH, identity->path, error);
}

bool
ireko_become(IrekoIdentity *identity, GError **error)
{
    if (!set_clock(identity->time_us, error) || !reseed(identity->seed, error))
        return false;
    bool stays = identity->machine_id == NULL;
    if (!stays && !take_names(identity, error))
        return false;
    for (unsigned i = 0; i < identity->cards->len; i++) {
        if (!become_card(identity->cards->pdata[i], stays, error))
            return false;
    }
    read_back(identity);
    return true;
}

void
ireko_become_born(void)
{
    uint8_t bytes[MACHINE_ID_SIZE];
    if (access(OWN_MACHINE_ID, F_OK) == 0 || getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return;
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < sizeof bytes; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    (void)write_line(OWN_MACHINE_ID, text->str, NULL);
    cover(PRODUCT_UUID);
    cover(BOOT_ID);
}
