/* lab/clone/become.c - this machine becomes another one: clock, names, addresses, random numbers.
 *
 * What the kernel keeps and gives nobody a way to change - the UUID that it once read from the
 * firmware's tables, the boot ID - has a file of our own laid over the one that shows it, from its
 * birth on, since a clone has no time to mount.
 *
 * It has no time to look for a file either, nor to open or write one: under TCG that would be a
 * fifth of all the code that it runs until it has answered (docs/design/boot.md). So the files
 * are opened at birth, by the names that everybody in the machine reads them by, and what they hold
 * is mapped. What is told as the new identity is read back out of them. */
#include "lab/clone/become.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
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

/* ---- what the machine shows of itself ---- */

/* A file that this process holds open for as long as the machine lives. */
typedef struct {
    const char *path; /* by which everybody reads it */
    int fd;
    char *page; /* its first, mapped; NULL: it cannot be changed */
} Shown;

static Shown machine_id = {MACHINE_ID, -1, NULL};
static Shown product_uuid = {PRODUCT_UUID, -1, NULL};
static Shown boot_id = {BOOT_ID, -1, NULL};
static Shown own_path = {IREKO_BECOME_PATH, -1, NULL};
static int random_fd = -1;

static void
hold(Shown *shown)
{
    shown->fd = open(shown->path, O_RDWR | O_CLOEXEC);
    void *page = shown->fd < 0
                     ? MAP_FAILED
                     : mmap(NULL, SHOWN_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, shown->fd, 0);
    shown->page = page != MAP_FAILED ? page : NULL;
}

/* Bytes of SHOWN, -1: it is not there, or not mapped. A user may have changed them to none: behind
 * the end of a file nothing is mapped. Not by fstat(2), which the kernel looks up an empty path
 * for. */
static off_t
length_of(const Shown *shown)
{
    return shown->page != NULL ? lseek(shown->fd, 0, SEEK_END) : -1;
}

/* What SHOWN shows, without its line end. */
static char *
shown_now(const Shown *shown)
{
    off_t len = length_of(shown);
    return g_strchomp(len > 0 ? ireko_text_copy(shown->page, MIN((size_t)len, SHOWN_MAX))
                              : g_strdup(""));
}

/* Has SHOWN show TEXT. */
static bool
show(Shown *shown, const char *text, GError **error)
{
    size_t len = strlen(text);
    g_assert(len < SHOWN_MAX);
    off_t old_len = length_of(shown);
    if (old_len < 0 || ((size_t)old_len != len + 1 && ftruncate(shown->fd, (off_t)len + 1) != 0))
        return fail(shown->path, error);
    memcpy(shown->page, text, len);
    shown->page[len] = '\n';
    return true;
}

/* Makes the file PATH, which says TEXT. */
static bool
make(const char *path, const char *text)
{
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
    return fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);
}

/* Lays a file that shows the same over PATH, a file of the kernel's. */
static void
cover(const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *own = g_build_filename(OWN_FOLDER, base, NULL);
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, SHOWN_MAX, NULL, NULL);
    if (text != NULL && make(own, g_strchomp(text)))
        (void)mount(own, path, NULL, MS_BIND, NULL);
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
    bool done = ioctl(random_fd, RNDADDENTROPY, pool) == 0 && ioctl(random_fd, RNDRESEEDCRNG) == 0;
    explicit_bzero(pool, sizeof pool);
    explicit_bzero(seed, IREKO_IDENTITY_SEED_BYTES);
    return done || fail("the random numbers", error);
}

/* ---- the whole ---- */

void
ireko_become_rescan(void)
{
    g_autoptr(GDir) folder = g_dir_open(SCSI_FOLDER, 0, NULL);
    for (const char *name; folder != NULL && (name = g_dir_read_name(folder)) != NULL;) {
        g_autofree char *path = g_build_filename(SCSI_FOLDER, name, "device", "rescan", NULL);
        IREKO_AUTOFD fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
            (void)!write(fd, "1", 1);
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
    identity->uuid = shown_now(&product_uuid);
    g_free(identity->machine_id);
    identity->machine_id = shown_now(&machine_id);
    g_free(identity->boot_id);
    identity->boot_id = shown_now(&boot_id);
    identity->time_us = g_get_real_time();
}

static bool
take_names(const IrekoIdentity *identity, GError **error)
{
    if (sethostname(identity->host, strlen(identity->host)) != 0)
        return fail("the host name", error);
    return show(&machine_id, identity->machine_id, error) &&
           show(&product_uuid, identity->uuid, error) && show(&boot_id, identity->boot_id, error) &&
           show(&own_path, identity->path, error);
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
        IrekoCard *card = identity->cards->pdata[i];
        char mac[IREKO_MAC_TEXT];
        memcpy(mac, card->mac, sizeof mac);
        if (!ireko_interfaces_mac(card->index, stays ? NULL : mac, card->mac, error))
            return false;
    }
    read_back(identity);
    return true;
}

/* Once in the life of a machine: its agent may be another one by then. */
static void
be_born(const char *path)
{
    uint8_t bytes[MACHINE_ID_SIZE];
    if (access(OWN_MACHINE_ID, F_OK) == 0 || getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return;
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < sizeof bytes; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    (void)make(OWN_MACHINE_ID, text->str);
    (void)make(IREKO_BECOME_PATH, path);
    cover(PRODUCT_UUID);
    cover(BOOT_ID);
}

void
ireko_become_born(const char *path)
{
    be_born(path);
    hold(&machine_id);
    hold(&product_uuid);
    hold(&boot_id);
    hold(&own_path);
    random_fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
}
