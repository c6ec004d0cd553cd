/* cli/cli.h - what the verbs share. The command line sees only <ireko/...>. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include <ireko/lab.h>

struct libscols_table;

#define EXIT_DONE  0
#define EXIT_NO    1 /* failed, or the answer is no */
#define EXIT_USAGE 2

typedef struct {
    const char *name;
    const char *synopsis; /* behind "ireko NAME " */
    const char *summary;  /* one line */
    const char *help;     /* what it teaches: paragraphs and examples */
    int (*run)(int argc, char **argv, GError **error);
} Command;

/* All verbs, ended by one without a name; in the order of help. */
extern const Command cli_commands[];

/* main.c: that COMMANDS, whose names begin with GROUP ("", "vmx "), has no VERB, and which one may
 * have been meant; free with g_free. */
char *
cli_no_verb(const Command *commands, const char *group, const char *verb);

int
cmd_check(int argc, char **argv, GError **error);
int
cmd_up(int argc, char **argv, GError **error);
int
cmd_ps(int argc, char **argv, GError **error);
int
cmd_verify(int argc, char **argv, GError **error);
int
cmd_down(int argc, char **argv, GError **error);
int
cmd_snapshot(int argc, char **argv, GError **error);
int
cmd_restore(int argc, char **argv, GError **error);
int
cmd_stop(int argc, char **argv, GError **error);
int
cmd_start(int argc, char **argv, GError **error);
int
cmd_console(int argc, char **argv, GError **error);
int
cmd_exec(int argc, char **argv, GError **error);
int
cmd_run(int argc, char **argv, GError **error);
int
cmd_image(int argc, char **argv, GError **error);
int
cmd_template(int argc, char **argv, GError **error);
int
cmd_vmx(int argc, char **argv, GError **error);
int
cmd_see(int argc, char **argv, GError **error);
int
cmd_exits(int argc, char **argv, GError **error);
int
cmd_agent(int argc, char **argv, GError **error);

int
cmd_bench(int argc, char **argv, GError **error);
int
cmd_bench_round(int argc, char **argv, GError **error);

int
cmd_switch(int argc, char **argv, GError **error);

/* cmd-down.c: the name of the lab on record that WHERE means; one whose record is damaged still
 * goes by its name. Free with g_free. */
char *
cli_lab_name(const IrekoHome *home, const char *where, GError **error);

/* cmd-down.c: says where spares stand ready, for LAB or (NULL) any, on standard error. */
void
cli_print_spares(const IrekoHome *home, const char *lab);

/* A step of a command, as IrekoLabRun.progress, on a line of standard error. */
void
cli_print_step(void *data, const char *step, unsigned done, unsigned total);

/* options.c: parses the options ENTRIES of the verb argv[0]; stops at the first word that is none.
 * What is left is in ARGV[1] to ARGV[ARGC - 1], LEAST to MOST words (MOST < 0: any number). False
 * after
 * --help (RET_STATUS is EXIT_DONE) and with an error (EXIT_USAGE). */
bool
cli_parse(int *argc,
          char ***argv,
          const GOptionEntry *entries,
          const int least_most[2],
          int *ret_status,
          GError **error);

/* Prints COMMANDS, a line each, under their last word. */
void
cli_print_list(const Command *commands);

/* Checks --accel: "auto" becomes NULL. */
bool
cli_check_accel(char **accel, GError **error);

/* Prints the help of all verbs. */
void
cli_print_help(void);

/* terminal.c */
bool
cli_is_terminal(int fd);
unsigned
cli_columns(void);
unsigned
cli_rows(void);

/* An fd that becomes readable at the first Ctrl-C (or SIGTERM, SIGHUP); the second ends the
 * program. */
int
cli_cancel_fd(void);

/* The path of this program, for the guest images; free with g_free. */
char *
cli_program(void);

/* Carries bytes between the terminal and FD until the user types Ctrl-] or the other side hangs up;
 * returns whether the user left. */
bool
cli_attach_terminal(int fd, int cancel_fd);

/* view.c: a run shown as it goes on: a live tree on a terminal, lines elsewhere. */
typedef struct View View;

/* QUIET: only errors (for --json into a pipe). Shows MACHINES (IrekoReport) of the lab NAME. */
View *
view_new(const char *name, const GPtrArray *machines, bool quiet);

/* Ends it: a terminal is left with nothing of it. */
void
view_free(View *view);

void
view_report(void *view, const IrekoReport *report);
void
view_progress(void *view, const char *step, unsigned done, unsigned total);

/* tree.c: REPORTS as a tree of machines and checks, with colours where COLOUR; free with g_free.
 * WIDTH 0: as wide as it gets. */
char *
tree_to_text(const char *title, const GPtrArray *reports, bool colour, unsigned width);

/* lost.c: prints which CPU features did not arrive in each machine of NEST, and who took them. */
void
lost_print(const IrekoNest *nest);

/* What CHECK is called for people: "hardware assist", "scsi0:1 SSD"; free with g_free. */
char *
cli_check_words(const IrekoCheck *check);

/* <libsmartcols.h>: a table without columns yet, for a terminal of WIDTH columns (0: as wide as it
 * gets); its text, without blanks at the ends of lines; free with g_free. */
struct libscols_table *
cli_table_new(bool colour, unsigned width);
char *
cli_table_to_text(struct libscols_table *table);

/* Adds a column (FLAGS: SCOLS_FL_...) for texts that are safe to print, which are shown as they
 * are. */
void
cli_table_add_text(struct libscols_table *table, const char *name, int flags);

/* Adds the last column of a table for a terminal of WIDTH columns, for texts of several lines; and
 * TEXT for it, broken between words where USED columns stand before it. Free with g_free. */
void
cli_table_add_words(struct libscols_table *table, const char *name, unsigned width);
char *
cli_table_words(const char *text, unsigned width, unsigned used);

/* words.c: TEXT as lines of at most WIDTH columns (0: one line), its blanks and line ends taken as
 * one, broken between words; the first line begins with FIRST, the others with MARGIN. Free with
 * g_free. */
char *
cli_wrap(const char *text, unsigned width, const char *first, const char *margin);

/* The columns of the terminal FD; 0 where it is none. */
unsigned
cli_width(int fd);

/* Prints DOCUMENT, a reference of which is taken. */
void
cli_print_json(json_t *document);

/* What a nest has proven, in words, or what broke and how to mend it; what to try next. */
void
words_print(const IrekoNest *nest);

/* Prints NEST as JSON or as tree and words; returns the exit status that goes with it. */
int
cli_print_nest(const IrekoNest *nest, bool json);

/* What the .vmx files of LAB ask for and will not get, on standard error. */
void
cli_print_notes(const IrekoLab *lab);

/* What RUN would start (--dry-run); returns the exit status. */
int
cli_print_plan(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error);
