/* cli/template.h - the parts of ireko template. */
#pragma once

#include "cli.h"

#define TEMPLATE_WORDS_MAX 1000 /* keys or labs at a time */

typedef struct {
    gboolean all, dry_run, json;
    int count; /* spares for each machine */
    char *accel;
} TemplateOptions;

int
template_warm(const IrekoHome *home,
              const char *where,
              const TemplateOptions *options,
              GError **error);

/* WHERE: labs, NULL behind the last. */
int
template_cool(const IrekoHome *home, char **where, const TemplateOptions *options, GError **error);
