/* host/verdict.h - what facts and survey of a layer come to. Pure: no I/O.
 *
 * The public side is <ireko/check.h>. */
#pragma once

#include <ireko/check.h>

#include "host/survey.h"

G_BEGIN_DECLS

/* Judges FACTS and SURVEY, which are of the same source and belong to the verdict from here. */
IrekoVerdict *
ireko_verdict_new(IrekoFacts *facts, IrekoSurvey *survey);

G_END_DECLS
