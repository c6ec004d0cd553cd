/* base/error.c - the error domain of ireko. */
#include <errno.h>

#include <ireko/error.h>

GQuark
ireko_error_quark(void)
{
    return g_quark_from_static_string("ireko-error-quark");
}

void
ireko_error_from_errno(GError **error, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);

    IrekoError code = errnum == ENOENT ? IREKO_ERROR_NOT_FOUND : IREKO_ERROR_IO;
    g_set_error(error, IREKO_ERROR, code, "%s: %s", text, g_strerror(errnum));
}
