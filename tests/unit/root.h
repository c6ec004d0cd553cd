/* A machine made of files, for tests of what reads them. */
#pragma once

#include <stddef.h>

/* A file of it: text, or the target of a link where it starts with "->". */
typedef struct {
    const char *path;
    const char *text;
} File;

typedef struct {
    char *path;
    int fd;
} Root;

/* A folder with FILES, up to COUNT or to one without a path, and with proc. */
Root
root_new(const File *files, size_t count);

void
root_clear(Root *root);
