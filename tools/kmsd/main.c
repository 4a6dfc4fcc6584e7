/* kmsd, the command: options, what to export, and signals. See kmsd(1). */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "control_command.h"
#include "err.h"
#include "explain.h"
#include "ids.h"
#include "secret.h"
#include "server.h"
#include "store.h"
#include "tls_cert.h"

#define SETTINGS_MAX	64 /* of control, on the command line */
#define TIMEOUT_MAX	3600
#define THREADS_MAX	64
#define DELAY_MAX	86400
#define CONNECTIONS_MAX 1000000
#define AUDIT_MIB_MAX	65536
#define ACCOUNTS_MAX	64

struct settings {
	const char *data_dir, *region;
	const char *accounts[ACCOUNTS_MAX]; /* NULL behind the last */
	size_t account_count;
	char listen[64]; /* ADDRESS:PORT; cut in two */
	struct http_config http;
	bool allow_remote, tls, explain_allowed;
	const char *tls_cert, *tls_key;
	int64_t audit_bytes;
	int64_t rotation_delay_ms; /* negative: none was given */
	int control_port;	   /* negative: none */
	struct server_setting control[SETTINGS_MAX];
	size_t control_count;
};

static const struct {
	const char *name, *arg, *help; /* arg NULL: takes none */
} options[] = {
	{"data-dir", "DIR",
	 "where keys, access keys and the audit trail are kept; made when missing"},
	{"listen", "ADDR:PORT", "serve there; port 0 picks a free one (127.0.0.1:0)"},
	{"region", "REGION", "AWS region to be (us-east-1)"},
	{"account-id", "ID",
	 "AWS account to be, 12 digits (111122223333); may be given for several"},
	{"request-timeout", "SECONDS", "a request, or an idle connection, may take this long (30)"},
	{"rotation-delay", "SECONDS", "a rotation on demand takes this long, for tests (120)"},
	{"threads", "N", "threads that serve (4)"},
	{"audit-size", "MIB", "a file of the audit trail is full then; 8 full ones are kept (256)"},
	{"explain-allowed", NULL, "keep for kmsd explain why requests were allowed, too; slower"},
	{"connections", "N", "connections at a time; one more ends the idlest (4096)"},
	{"tls", NULL, "HTTPS with a certificate made in the data directory, for this machine"},
	{"tls-cert", "FILE", "HTTPS with this certificate (PEM, with what its issuer adds)"},
	{"tls-key", "FILE", "and its key (PEM)"},
	{"allow-remote", NULL, "allow --listen on an address that is not of this machine alone"},
	{"control-port", "PORT", "where kmsd control is heard, on 127.0.0.1 (any free one)"},
	{"no-control", NULL, "do not listen to kmsd control"},
	{"foreground", NULL, "stay in the foreground, as it does without"},
	{"help", NULL, "show this"},
	{"version", NULL, "show the version"},
};

#define FIRST_OPTION 1000 /* what getopt_long() returns for it */
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static void usage(void)
{
	size_t control_count;
	const struct control_option *control = control_options(&control_count);

	printf("Usage: kmsd --data-dir DIR [--listen ADDR:PORT] [option...]\n"
	       "       kmsd control COMMAND, see kmsd control --help\n"
	       "       kmsd explain EVENT-ID --data-dir DIR [--json]\n"
	       "A local AWS Key Management Service, in the foreground until SIGTERM or "
	       "SIGINT.\n\n");
	for (size_t i = 0; i < OPTION_COUNT; i++)
		printf("  --%-16s %-12s %s\n", options[i].name,
		       options[i].arg ? options[i].arg : "", options[i].help);
	printf("\nTo begin with (kmsd control changes them later; durations as 250ms, 5s, 7d):\n");
	for (size_t i = 0; i < control_count; i++)
		printf("  --%-16s %-12s %s\n", control[i].name, control[i].arg, control[i].help);
	printf("\nThe access key printed at the start is that of the account's root user. aws iam "
	       "makes "
	       "users\nand roles; their policies and key policies decide what they may do. It is "
	       "no "
	       "place for\nproduction secrets.\n\nSee kmsd(1).\n");
}

static int wrong(const char *option, const char *value, const char *why)
{
	(void)fprintf(stderr, "kmsd: --%s '%s': %s\n", option, value, why); /* the last resort */
	return 2;
}

static bool to_number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *ret <= max;
}

/* "127.0.0.1:8080" or "[::1]:8080". */
static int take_listen(struct settings *s, const char *value)
{
	unsigned long port;
	char *colon, *address = s->listen;
	struct in6_addr in;
	bool bracketed;
	size_t n;

	(void)snprintf(s->listen, sizeof(s->listen), "%s", value); /* cut: then it has no port */
	colon = strrchr(s->listen, ':');
	if (!colon || !to_number(colon + 1, 65535, &port))
		return wrong("listen", value, "not ADDRESS:PORT with a port of 0 to 65535");
	*colon = '\0';
	n = strlen(address);
	bracketed = n > 1 && address[0] == '[' && address[n - 1] == ']';
	if (bracketed) {
		address[n - 1] = '\0';
		address++;
	}
	if (strcmp(address, "localhost") == 0)
		address = s->listen, memcpy(address, "127.0.0.1", sizeof("127.0.0.1"));
	if (inet_pton(bracketed ? AF_INET6 : AF_INET, address, &in) != 1)
		return wrong("listen", value,
			     "the address is neither localhost nor an IP address; IPv6 stands in "
			     "brackets");
	s->http.address = address;
	s->http.port = (uint16_t)port;
	return 0;
}

/* The first that is given takes the default's place. */
static int take_account(struct settings *s, const char *value)
{
	if (!ids_account_valid(value))
		return wrong("account-id", value, "not 12 digits");
	if (s->account_count == ACCOUNTS_MAX)
		return wrong("account-id", value, "there are 64 already, the most there may be");
	s->accounts[s->account_count++] = value;
	return 0;
}

/* An option that kmsd control has too. */
static int take_control(struct settings *s, const char *name, const char *value)
{
	struct err err = {0};

	if (s->control_count == SETTINGS_MAX)
		return wrong(name, value, "too many of these options");
	s->control[s->control_count].option = name;
	if (control_option(name, value, &s->control[s->control_count].request, &err) < 0)
		return wrong(name, value, err.msg);
	s->control_count++; /* it lives as long as the process */
	return 0;
}

static int take_option(struct settings *s, const char *name, const char *value)
{
	unsigned long n;

	if (strcmp(name, "data-dir") == 0) {
		s->data_dir = value;
	} else if (strcmp(name, "listen") == 0) {
		return take_listen(s, value);
	} else if (strcmp(name, "region") == 0) {
		s->region = value;
		if (!ids_region_valid(value))
			return wrong(name, value, "not a region");
	} else if (strcmp(name, "account-id") == 0) {
		return take_account(s, value);
	} else if (strcmp(name, "request-timeout") == 0) {
		if (!to_number(value, TIMEOUT_MAX, &n) || n == 0)
			return wrong(name, value, "not a number of seconds from 1 to 3600");
		s->http.timeout_s = (unsigned)n;
	} else if (strcmp(name, "rotation-delay") == 0) {
		if (!to_number(value, DELAY_MAX, &n))
			return wrong(name, value, "not a number of seconds from 0 to 86400");
		s->rotation_delay_ms = (int64_t)n * 1000;
	} else if (strcmp(name, "audit-size") == 0) {
		if (!to_number(value, AUDIT_MIB_MAX, &n) || n == 0)
			return wrong(name, value, "not a number of MiB from 1 to 65536");
		s->audit_bytes = (int64_t)n << 20;
	} else if (strcmp(name, "threads") == 0) {
		if (!to_number(value, THREADS_MAX, &n) || n < 2)
			return wrong(name, value, "not a number from 2 to 64");
		s->http.threads = (unsigned)n;
	} else if (strcmp(name, "connections") == 0) {
		if (!to_number(value, CONNECTIONS_MAX, &n) || n == 0)
			return wrong(name, value, "not a number from 1 to 1000000");
		s->http.connections = (unsigned)n;
	} else if (strcmp(name, "tls-cert") == 0) {
		s->tls_cert = value;
	} else if (strcmp(name, "tls-key") == 0) {
		s->tls_key = value;
	} else if (strcmp(name, "tls") == 0) {
		s->tls = true;
	} else if (strcmp(name, "explain-allowed") == 0) {
		s->explain_allowed = true;
	} else if (strcmp(name, "allow-remote") == 0) {
		s->allow_remote = true;
	} else if (strcmp(name, "control-port") == 0) {
		if (!to_number(value, 65535, &n))
			return wrong(name, value, "not a port of 0 to 65535");
		s->control_port = (int)n;
	} else if (strcmp(name, "no-control") == 0) {
		s->control_port = -1;
	} else if (value) {
		return take_control(s, name, value);
	}
	return 0;
}

/* What getopt_long() did not take, and why: the exit status. */
static int unusable(int why, const struct option *longs, const char *text)
{
	const char *name = optopt >= FIRST_OPTION ? longs[optopt - FIRST_OPTION].name : "";

	if (why == ':') /* the last resort, as below */
		(void)fprintf(stderr, "kmsd: --%s lacks its argument; see 'kmsd --help'\n", name);
	else if (*name)
		(void)fprintf(stderr, "kmsd: --%s takes no argument: '%s'; see 'kmsd --help'\n",
			      name, text);
	else if (optopt)
		(void)fprintf(stderr, "kmsd: unknown option '-%c'; see 'kmsd --help'\n", optopt);
	else
		(void)fprintf(stderr, "kmsd: unknown option '%s'; see 'kmsd --help'\n", text);
	return 2;
}

static int flush_stdout(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	(void)fprintf(stderr, "kmsd: cannot write to standard output: %s\n",
		      strerror(errno)); /* the last resort */
	return 1;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct settings *s)
{
	struct option longs[OPTION_COUNT + SETTINGS_MAX + 1] = {0};
	size_t control_count;
	const struct control_option *control = control_options(&control_count);
	int c, r, count = 0;

	opterr = 0;
	for (size_t n = 0; n < OPTION_COUNT; n++, count++)
		longs[count] = (struct option){options[n].name, options[n].arg != NULL, NULL,
					       FIRST_OPTION + count};
	for (size_t n = 0; n < control_count && n < SETTINGS_MAX; n++, count++)
		longs[count] = (struct option){control[n].name, 1, NULL, FIRST_OPTION + count};
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c < FIRST_OPTION)
			return unusable(c, longs, argv[optind - 1]);
		if (strcmp(longs[c - FIRST_OPTION].name, "help") == 0) {
			usage();
			return flush_stdout();
		}
		if (strcmp(longs[c - FIRST_OPTION].name, "version") == 0) {
			printf("kmsd %s\n", KMSVOL_VERSION);
			return flush_stdout();
		}
		r = take_option(s, longs[c - FIRST_OPTION].name, optarg);
		if (r)
			return r;
	}
	if (optind < argc) {
		(void)fprintf(stderr,
			      "kmsd: '%s' is neither an option nor a command; see 'kmsd --help'\n",
			      argv[optind]); /* the last resort */
		return 2;
	}
	if (!s->data_dir) {
		(void)fprintf(stderr,
			      "kmsd: --data-dir is missing; see kmsd --help\n"); /* as above */
		return 2;
	}
	if (!s->tls_cert != !s->tls_key || (s->tls && s->tls_cert)) {
		(void)fprintf(stderr, "kmsd: --tls-cert and --tls-key go together, and without "
				      "--tls; see kmsd --help\n"); /* as above */
		return 2;
	}
	if (!s->allow_remote && strncmp(s->http.address, "127.", 4) != 0 &&
	    strcmp(s->http.address, "::1") != 0)
		return wrong("listen", s->http.address,
			     "not an address of this machine alone; --allow-remote allows it");
	return -1;
}

/* A connection is an open file: take all that the hard limit gives. 0, or the exit status. */
static int limit_connections(struct settings *s)
{
	struct rlimit limit;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* asked again below */
	(void)getrlimit(RLIMIT_NOFILE, &limit); /* worked above */
	if (limit.rlim_cur <= HTTP_FILES_BESIDE) {
		(void)fprintf(stderr,
			      "kmsd: only %llu files may be open, %d are needed beside the "
			      "connections; ulimit -n raises it\n",
			      (unsigned long long)limit.rlim_cur, HTTP_FILES_BESIDE); /* as above */
		return 1;
	}
	most = limit.rlim_cur - HTTP_FILES_BESIDE;
	if (s->http.connections <= most)
		return 0;
	if (s->http.connections == HTTP_CONNECTIONS_DEFAULT) {
		s->http.connections = (unsigned)most;
		return 0;
	}
	(void)fprintf(stderr,
		      "kmsd: --connections '%u': only %llu files may be open, which is %llu "
		      "connections; ulimit -n raises it\n",
		      s->http.connections, (unsigned long long)limit.rlim_cur,
		      (unsigned long long)most); /* the last resort */
	return 1;
}

/* export NAME='PATH' with the path below the data directory. */
static void announce_path(const struct settings *s, const char *name, const char *below)
{
	char path[PATH_MAX];

	if (!realpath(s->data_dir, path))
		return;
	printf("export %s='", name);
	for (const char *p = path; *p; p++)
		if (*p == '\'')
			printf("'\\''");
		else
			(void)putchar(*p); /* ferror() */
	printf("%s'\n", below);
}

static int announce(const struct settings *s, const struct server *server)
{
	const struct access_key *key = server_root_key(server);
	const char *address = s->http.address;
	bool six = strchr(address, ':') != NULL;
	char url[128];

	(void)snprintf(url, sizeof(url), "http%s://%s%s%s:%u", s->tls || s->tls_cert ? "s" : "",
		       six ? "[" : "", address, six ? "]" : "", server_port(server)); /* fits */
	printf("# kmsd %s: account %s, region %s, data directory %s\n", KMSVOL_VERSION,
	       s->accounts[0], s->region, s->data_dir);
	printf("# awscli before 2.13 and 1.29 (Debian 12 has 2.9.19) wants: aws --endpoint-url "
	       "%s\n",
	       url);
	printf("# the same access key for AWS_SHARED_CREDENTIALS_FILE: %s/credentials\n",
	       s->data_dir);
	for (size_t i = 1; i < s->account_count; i++)
		/* Not AWS_PROFILE: the keys exported below would win over it. */
		printf("# account %s: that file's profile of this name, aws --profile %s\n",
		       s->accounts[i], s->accounts[i]);
	printf("export AWS_ENDPOINT_URL=%s\n", url);
	printf("export AWS_REGION=%s\nexport AWS_DEFAULT_REGION=%s\n", s->region, s->region);
	printf("export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=", key->id);
	(void)fwrite(secret_cbytes(key->secret), 1, secret_len(key->secret), stdout); /* ferror() */
	printf("\n");
	if (s->control_port >= 0)
		announce_path(s, "KMSD_DATA_DIR", "");
	if (s->tls)
		announce_path(s, "AWS_CA_BUNDLE", "/" TLS_CERT_AUTHORITY);
	printf("kmsd: ready on %s\n", url);
	return flush_stdout();
}

static int serve(struct server *server, const sigset_t *stop)
{
	struct timespec tick = {.tv_sec = server_tick_seconds(server)};
	struct err err = {0};

	while (sigtimedwait(stop, NULL, &tick) < 0) {
		if (server_tick(server, &err) < 0)
			(void)fprintf(stderr, "kmsd: %s\n", err.msg); /* the last resort */
		tick.tv_sec = server_tick_seconds(server);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct settings s = {.region = "us-east-1",
			     .accounts = {"111122223333"},
			     .http = {.address = "127.0.0.1",
				      .timeout_s = 30,
				      .threads = 4,
				      .connections = HTTP_CONNECTIONS_DEFAULT},
			     .rotation_delay_ms = -1};
	struct server_config config;
	struct server *server = NULL;
	struct err err = {0};
	sigset_t stop;
	int status;

	if (argc > 1 && strcmp(argv[1], "control") == 0)
		return control_command(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "explain") == 0)
		return explain_main(argc - 1, argv + 1);
	status = read_options(argc, argv, &s);
	if (status >= 0)
		return status;
	(void)umask(077);		/* cannot fail */
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigaddset(&stop, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL); /* before there are threads, which inherit it */
	status = limit_connections(&s);
	if (status)
		return status;
	config = (struct server_config){
		.data_dir = s.data_dir,
		.region = s.region,
		.accounts = s.accounts,
		.account_count = s.account_count ? s.account_count : 1, /* the default's */
		.explain_allowed = s.explain_allowed,
		.audit_bytes = s.audit_bytes,
		.rotation_delay_ms = s.rotation_delay_ms,
		.http = s.http,
		.tls = s.tls,
		.tls_cert = s.tls_cert,
		.tls_key = s.tls_key,
		.control_port = s.control_port,
		.settings = s.control,
		.setting_count = s.control_count,
	};
	status = server_start(&config, &server, &err);
	if (status < 0) {
		(void)fprintf(stderr, "kmsd: %s\n", err.msg); /* the last resort */
		return status == -EINVAL ? 2 : 1;
	}
	status = announce(&s, server);
	if (status == 0)
		status = serve(server, &stop);
	server_stop(server);
	return status;
}
