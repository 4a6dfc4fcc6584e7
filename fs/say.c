/* Messages of the daemon. See say.h. */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "err.h"

static char say_name[256];
static bool say_to_syslog;

void say_open(const char *name, bool to_syslog)
{
	(void)snprintf(say_name, sizeof(say_name), "%s", name); /* cut on purpose */
	say_to_syslog = to_syslog;
	if (to_syslog)
		openlog("kmsvol", LOG_PID | LOG_PERROR, LOG_DAEMON);
}

static void put(int priority, const char *fmt, va_list ap)
{
	char text[ERR_MSG_MAX + 512];

	(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut on purpose */
	for (char *p = text; *p; p++) /* one line, whatever KMS put into its message */
		if ((unsigned char)*p < ' ')
			*p = ' ';
	if (say_to_syslog)
		syslog(priority, "volume '%s': %s", say_name, text);
	else if (*say_name)
		(void)fprintf(stderr, "kmsvol: volume '%s': %s\n", say_name, text);
	else /* a command, which works on several or has said which */
		(void)fprintf(stderr, "kmsvol: %s\n", text);
}

void say_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_INFO, fmt, ap);
	va_end(ap);
}

void say_warning(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_WARNING, fmt, ap);
	va_end(ap);
}

void say_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_ERR, fmt, ap);
	va_end(ap);
}
