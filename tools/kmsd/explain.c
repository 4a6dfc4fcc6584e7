/* `kmsd explain`, the command. See explain.h. */
#include "explain.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "ids.h"
#include "kms_json.h"
#include "secret.h"

struct settings {
	const char *data_dir, *id;
	bool json;
};

static void usage(void)
{
	printf("Usage: kmsd explain EVENT-ID --data-dir DIR [--json]\n"
	       "Why kmsd allowed or refused a request: who asked, every policy statement and "
	       "grant\n"
	       "that was looked at, and what decided. A server may run on DIR, or not.\n\n"
	       "  --data-dir DIR   the server's data directory; or KMSD_DATA_DIR\n"
	       "  --json           print it as JSON\n"
	       "  --help           show this\n\n"
	       "Event ids are those of aws cloudtrail lookup-events, and \"eventID\" in "
	       "audit.jsonl.\n");
}

static int wrong(const char *what, const char *why)
{
	(void)fprintf(stderr, "kmsd: explain: %s: %s; see kmsd explain --help\n", what,
		      why); /* the last resort */
	return 2;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct settings *s)
{
	static const struct option options[] = {{"data-dir", required_argument, NULL, 'd'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h') {
			usage();
			return 0;
		}
		if (c == 'd')
			s->data_dir = optarg;
		else if (c == 'j')
			s->json = true;
		else
			return 2; /* getopt has said why */
	}
	s->id = optind < argc ? argv[optind] : NULL;
	if (!s->id)
		return wrong("EVENT-ID", "it is missing");
	if (optind + 1 < argc)
		return wrong(argv[optind + 1], "one EVENT-ID is enough");
	if (!s->data_dir || !*s->data_dir)
		return wrong("--data-dir", "it is missing");
	return -1;
}

static int show(const struct settings *s, const struct kms_json *record)
{
	AUTO(freep) char *text = s->json ? kms_json_text_pretty(record) : explain_text(record);

	if (!text) {
		(void)fprintf(stderr, "kmsd: explain: out of memory\n"); /* the last resort */
		return 1;
	}
	(void)printf("%s%s", text, s->json ? "\n" : ""); /* ferror() */
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}

int explain_main(int argc, char **argv)
{
	AUTO(kms_json_freep) struct kms_json *record = NULL;
	struct settings s = {.data_dir = getenv("KMSD_DATA_DIR")};
	char id[IDS_UUID_LEN + 1];
	uint8_t uuid[16];
	struct err err = {0};
	int fd, r, status = read_options(argc, argv, &s);

	if (status >= 0)
		return status;
	if (ids_uuid_parse(s.id, uuid) < 0)
		return wrong(s.id, "not an event id, which is a UUID");
	ids_uuid_format(uuid, id);
	fd = open(s.data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		(void)fprintf(stderr, "kmsd: explain: data directory '%s': %s\n", s.data_dir,
			      strerror(errno)); /* the last resort */
		return 1;
	}
	r = explain_find(fd, id, &record, &err);
	(void)close(fd); /* only read */
	if (r < 0)
		(void)fprintf(stderr, "kmsd: explain: data directory '%s': event '%s': %s\n",
			      s.data_dir, id, err.msg); /* the last resort */
	return r < 0 ? 1 : show(&s, record);
}
