/* Threads: what many begin at once is what one would find.
 *
 * What is made at first use is made once in a process, so each round is a process of its own, and
 * this program is no GTest: GTest uses some of it before the first test. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ireko/lint.h>

#define ROUNDS  300
#define THREADS 8

static const char text[] = "virtualHW.version = \"7\"\n"
                           "vhv.enable = \"TRUE\"\n"
                           "memsize = \"6\"\n"
                           "guestOS = \"vmkernel7\"\n";

static atomic_int ready;

/* How often lint has something to say. */
static void *
lint(void *unused)
{
    (void)unused;
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(text, strlen(text), NULL);
    for (ready++; ready < THREADS;)
        g_thread_yield(); /* all at once: a lock would let one go first */
    g_autoptr(GPtrArray) findings = ireko_lint(doc, "a.vmx");
    return GUINT_TO_POINTER(findings->len);
}

/* One round, in a process of its own: whether each thread found the same, and more than nothing. */
static bool
agree(void)
{
    GThread *threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("lint", lint, NULL);
    unsigned first = GPOINTER_TO_UINT(g_thread_join(threads[0]));
    bool same = first > 0;
    for (size_t i = 1; i < THREADS; i++)
        same &= GPOINTER_TO_UINT(g_thread_join(threads[i])) == first;
    return same;
}

int
main(void)
{
    unsigned differ = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(agree() ? 0 : 1);
        int status = 1;
        differ += child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    (void)printf("1..1\n%sok 1 - threads that begin to lint at once find the same\n",
                 differ > 0 ? "not " : "");
    if (differ > 0)
        (void)printf("# not so in %u of %u rounds\n", differ, ROUNDS);
    return differ > 0;
}
