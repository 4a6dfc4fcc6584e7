/*
 * The client object, and the path of a call: place, credentials, exchange, sorting, back-off. See
 * kms_call.h.
 */
#include "kms_call.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "aws_creds.h"
#include "aws_profile.h"
#include "creds.h"
#include "err.h"
#include "kms_fault.h"
#include "kms_http.h"
#include "kms_json.h"
#include "kms_retry.h"
#include "kms_service.h"
#include "place.h"
#include "secret.h"
#include "service_proof.h"
#include "stop.h"

#define TIMEOUT_MS     10000
#define TIMEOUT_MAX_MS 3600000

struct kms {
	pthread_mutex_t lock;	  /* held through a call: one at a time */
	struct stop stop;	  /* raised without the lock */
	struct kms_http *http;	  /* guarded by lock */
	struct creds *creds;	  /* guarded by lock */
	struct kms_retry retry;	  /* guarded by lock */
	_Atomic(char *) region;	  /* set once, at open or by the first ARN; NULL: not known yet */
	_Atomic(char *) endpoint; /* set once, likewise */
	char *profile_name;	  /* fixed at open; NULL: as the environment says */
	char *ca_file;		  /* fixed at open; NULL: the system's */
	struct kms_service *service; /* guarded by lock; NULL: not asked yet, or there is none */
	bool service_known;	     /* guarded by lock */
	struct kms_actor actor;	     /* guarded by lock */
	unsigned hurry_ms;	     /* guarded by lock; one try of that long; 0: as below */
	unsigned timeout_ms;	     /* fixed at open */
	unsigned tries;		     /* fixed at open */
	unsigned backoff_ms;	     /* fixed at open */
};

static int out_of_memory(struct err *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

/* Give @slot, which is empty, a copy of @text. */
static int set_once(_Atomic(char *) *slot, const char *text, struct err *err)
{
	char *copy = strdup(text);

	if (!copy)
		return out_of_memory(err);
	*slot = copy;
	return 0;
}

/* The region is known now, and with it the endpoint, unless one was set. */
static int set_region(struct kms *kms, const char *region, const struct aws_profile *profile,
		      struct err *err)
{
	char url[PLACE_ENDPOINT_MAX + 1];
	int r = 0;

	if (!kms->endpoint) {
		place_aws_endpoint(region, profile, url);
		r = set_once(&kms->endpoint, url, err);
	}
	return r < 0 ? r : set_once(&kms->region, region, err);
}

static int configure(struct kms *kms, const struct kms_config *config,
		     const struct aws_profile *profile, struct err *err)
{
	char region[PLACE_REGION_MAX + 1], url[PLACE_ENDPOINT_MAX + 1];
	const char *ca_file = place_ca_file(profile);
	int r = place_tries(config->tries, profile, err);

	if (r < 0)
		return r;
	kms->tries = (unsigned)r;
	kms->service_known = config->plain; /* there is none */
	kms->backoff_ms = config->backoff_ms ? config->backoff_ms : KMS_RETRY_BASE_MS;
	kms->timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_MS;
	if (kms->timeout_ms > TIMEOUT_MAX_MS)
		kms->timeout_ms = TIMEOUT_MAX_MS;
	if (config->profile && !(kms->profile_name = strdup(config->profile)))
		return out_of_memory(err);
	if (ca_file && !(kms->ca_file = strdup(ca_file)))
		return out_of_memory(err);
	r = place_endpoint(config->endpoint, profile, url, err);
	if (r > 0)
		r = set_once(&kms->endpoint, url, err);
	if (r < 0)
		return r;
	r = place_region(config->region, profile, region, err);
	return r > 0 ? set_region(kms, region, profile, err) : r;
}

int kms_open(const struct kms_config *config, struct kms **ret_kms, struct err *err)
{
	static const struct kms_config defaults;
	AUTO(aws_profile_freep) struct aws_profile *profile = NULL;
	struct kms *kms = calloc(1, sizeof(*kms));
	int r;

	if (!kms)
		return out_of_memory(err);
	if (!config)
		config = &defaults;
	(void)pthread_mutex_init(&kms->lock, NULL); /* cannot fail on Linux */
	kms_retry_init(&kms->retry);
	r = stop_init(&kms->stop, err);
	if (r == 0)
		r = kms_http_open(&kms->stop, &kms->http, err);
	if (r == 0)
		r = aws_profile_load(config->profile, &profile, err);
	if (r == 0)
		r = configure(kms, config, profile, err);
	if (r == 0)
		r = creds_open(kms->profile_name, kms->http, &kms->stop, &kms->creds, err);
	if (r < 0) {
		kms_close(kms);
		return r;
	}
	*ret_kms = kms;
	return 0;
}

void kms_close(struct kms *kms)
{
	if (!kms)
		return;
	creds_close(kms->creds);
	kms_http_close(kms->http);
	kms_service_free(kms->service);
	stop_done(&kms->stop);
	(void)pthread_mutex_destroy(&kms->lock); /* nobody holds it */
	free(kms->region);
	free(kms->endpoint);
	free(kms->profile_name);
	free(kms->ca_file);
	free(kms);
}

void kms_closep(struct kms **kms)
{
	kms_close(*kms);
	*kms = NULL;
}

const char *kms_endpoint(const struct kms *kms)
{
	const char *endpoint = kms->endpoint;

	return endpoint ? endpoint : "";
}

const char *kms_region(const struct kms *kms)
{
	const char *region = kms->region;

	return region ? region : "";
}

void kms_forget(struct kms *kms)
{
	(void)pthread_mutex_lock(&kms->lock);
	kms_http_forget(kms->http);
	(void)pthread_mutex_unlock(&kms->lock);
}

void kms_cancel(struct kms *kms)
{
	stop_raise(&kms->stop);
}

void kms_uncancel(struct kms *kms)
{
	stop_lower(&kms->stop);
}

/* Know region and endpoint, from the key's ARN if from nowhere else. */
static int find_place(struct kms *kms, const char *key_id, struct err *err)
{
	AUTO(aws_profile_freep) struct aws_profile *profile = NULL;
	char region[PLACE_REGION_MAX + 1];
	int r;

	if (kms->region)
		return 0;
	if (!place_region_of_arn(key_id, region))
		return err_set(
			err, EINVAL,
			"no AWS region: neither AWS_REGION nor AWS_DEFAULT_REGION is set, the "
			"AWS profile has no region, and the key is not named by its ARN");
	r = aws_profile_load(kms->profile_name, &profile, err);
	return r < 0 ? r : set_region(kms, region, profile, err);
}

/* A call under way. */
struct call {
	struct kms *kms;
	const struct kms_operation *operation; /* NULL: a kmsd is looked for */
	const char *body;
	const char *url;
	struct kms_fault_call fault;
	struct kms_fault_cure cure; /* of the last try */
};

/* What a 200 carries. */
static int take_answer(struct call *call, const struct kms_http_answer *answer,
		       struct kms_json **ret_answer, struct err *err)
{
	const char *text = answer->body.bytes ? (const char *)answer->body.bytes : "";
	int r;

	if (call->operation && call->operation->no_answer)
		return 0;
	r = kms_json_parse(text, answer->body.len, ret_answer, err);
	if (r == -EUCLEAN && !call->operation)
		return err_set(err, ENOENT, "no kmsd");
	if (r == -EUCLEAN)
		return kms_fault_nonsense(&call->fault, answer, &call->cure, err);
	return r;
}

/* Who signs, and the headers that say what is called and by whom. */
static int prepare(struct call *call, struct kms_http_request *request, char target[96],
		   struct kms_service_headers *more, struct err *err)
{
	struct kms *kms = call->kms;
	const struct kms_actor *actor = &kms->actor;
	struct kms_service_call of = {.region = kms->region, .body = call->body};
	int r = 0;

	if (actor->own && call->operation)
		request->creds = &kms->service->creds;
	else
		r = creds_get(kms->creds, call->fault.now, &request->creds, err);
	if (r < 0 || !call->operation)
		return r;
	(void)snprintf(target, 96, "X-Amz-Target: TrentService.%s", call->operation->name);
	of.caller = request->creds;
	of.target = target + strlen("X-Amz-Target: ");
	of.now = call->fault.now;
	r = kms_service_headers(kms->service, actor, &of, more, err);
	request->headers[0] = "Content-Type: application/x-amz-json-1.1";
	request->headers[1] = target;
	for (unsigned i = 0; i < more->count; i++)
		request->headers[2 + i] = more->lines[i];
	return r;
}

/* What is not kmsd's answer, and no trouble of the moment, says that there is no kmsd. */
static int take_failure(struct call *call, const struct kms_http_answer *answer, struct err *err)
{
	int r = kms_fault_answer(&call->fault, answer, &call->cure, err);

	if (call->operation || call->cure.retry)
		return r;
	call->cure = (struct kms_fault_cure){0};
	return err_set(err, ENOENT, "no kmsd");
}

static int try_once(struct call *call, struct kms_json **ret_answer, struct err *err)
{
	struct kms *kms = call->kms;
	struct kms_http_answer answer = {0};
	struct kms_http_request request = {
		.method = call->operation ? "POST" : "GET",
		.url = call->url,
		.body = call->body,
		.body_len = strlen(call->body),
		.timeout_ms = kms->hurry_ms ? kms->hurry_ms : kms->timeout_ms,
		.region = kms->region,
		.service = "kms",
		.ca_file = kms->ca_file,
	};
	struct kms_service_headers more = {0};
	char target[96];
	int r;

	call->cure = (struct kms_fault_cure){0};
	call->fault.now = time(NULL);
	r = prepare(call, &request, target, &more, err);
	if (r == -ECANCELED)
		return kms_fault_no_answer(&call->fault, r, &call->cure, err);
	if (r < 0)
		return r;
	r = kms_http_do(kms->http, &request, &answer, err);
	if (r < 0)
		return kms_fault_no_answer(&call->fault, r, &call->cure, err);
	call->fault.now = time(NULL);
	if (answer.status == 200)
		r = take_answer(call, &answer, ret_answer, err);
	else
		r = take_failure(call, &answer, err);
	kms_http_answer_done(&answer);
	return r;
}

static void add_to_sentence(struct err *err, const char *text)
{
	size_t len = strlen(err->msg), more = strlen(text);

	if (len + more >= sizeof(err->msg))
		len = sizeof(err->msg) - 1 - more;
	memcpy(err->msg + len, text, more + 1);
}

/* KMS does not take the credentials: the sentence says whose they are. */
static void name_source(struct kms *kms, int64_t now, struct err *err)
{
	const struct aws_creds *creds = NULL;
	char text[AWS_CREDS_SOURCE_MAX + AWS_ACCESS_KEY_ID_MAX + 32];
	struct err ignored = {0};

	if (creds_get(kms->creds, now, &creds, &ignored) < 0)
		return;
	(void)snprintf(text, sizeof(text), " (access key %s from %s)", creds->access_key_id,
		       creds->source);
	add_to_sentence(err, text);
}

static uint32_t random_number(void)
{
	uint32_t n = 0;

	if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
		n = UINT32_MAX / 2; /* a pause of half the size */
	return n;
}

/*
 * After a failed try: true when there shall be another, which is then due. @ret_taken is what it
 * took from the quota.
 */
static bool again(struct call *call, unsigned tries, bool *renewed, unsigned *ret_taken,
		  struct err *err)
{
	struct kms *kms = call->kms;
	unsigned pause, taken;

	if (call->cure.renew_creds && !*renewed) {
		struct err renew_err = {0};

		*renewed = true;
		return creds_renew(kms->creds, call->fault.now, &renew_err) > 0;
	}
	if (!call->cure.retry || kms->hurry_ms || tries >= kms->tries)
		return false;
	taken = kms_retry_take(&kms->retry, call->cure.was_timeout);
	if (!taken) {
		add_to_sentence(err, " (the quota of retries is used up)");
		return false;
	}
	*ret_taken = taken;
	pause = kms_retry_delay_ms(tries - 1, kms->backoff_ms, random_number());
	return !stop_sleep(&kms->stop, pause);
}

static int call_locked(struct kms *kms, struct call *call, struct kms_json **ret_answer,
		       struct err *err)
{
	unsigned tries = 0, taken = 0;
	bool renewed = false;
	char text[48];
	int r;

	call->url = call->url ? call->url : kms->endpoint;
	call->fault.endpoint = kms->endpoint;
	do {
		tries++;
		r = try_once(call, ret_answer, err);
	} while (r < 0 && again(call, tries, &renewed, &taken, err));
	if (r == 0) {
		kms_retry_success(&kms->retry, taken);
		err_clear(err);
		return 0;
	}
	if (call->cure.renew_creds || call->cure.wrong_secret)
		name_source(kms, call->fault.now, err);
	(void)snprintf(text, sizeof(text), " (%u tries)", tries);
	if (tries > 1)
		add_to_sentence(err, text);
	return r;
}

int kms_call(struct kms *kms, const struct kms_operation *operation, const struct kms_json *request,
	     const char *key_id, struct kms_json **ret_answer, struct err *err)
{
	struct err own = {0};
	AUTO(freep) char *body = kms_json_text(request);
	struct call call = {
		.kms = kms,
		.operation = operation,
		.body = body,
		.fault = {.operation = operation->name, .key_id = key_id},
	};
	int r;

	if (!err)
		err = &own;
	if (!body)
		return out_of_memory(err);
	(void)pthread_mutex_lock(&kms->lock);
	r = find_place(kms, key_id, err);
	r = r ? r : call_locked(kms, &call, ret_answer, err);
	(void)pthread_mutex_unlock(&kms->lock);
	return r;
}

/* Ask an endpoint of this machine whether it is a kmsd that lets us speak for services. */
static int ask_service_locked(struct kms *kms, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *answer = NULL;
	char url[PLACE_ENDPOINT_MAX + sizeof(SERVICE_PATH)];
	struct call call = {
		.kms = kms, .body = "", .url = url, .fault = {.operation = "GET " SERVICE_PATH}};
	int r = -ENOENT;

	(void)snprintf(url, sizeof(url), "%s" SERVICE_PATH, kms->endpoint); /* fits */
	if (kms_service_is_here(kms->endpoint))
		r = call_locked(kms, &call, &answer, err);
	r = r ? r : kms_service_read(answer, &kms->service, err);
	if (r < 0 && r != -ENOENT)
		return r;
	kms->service_known = true;
	return 0;
}

int kms_can_serve(struct kms *kms, const char *key_id, struct err *err)
{
	struct err own = {0};
	int r;

	if (!err)
		err = &own;
	(void)pthread_mutex_lock(&kms->lock);
	r = find_place(kms, key_id, err);
	if (r == 0 && !kms->service_known)
		r = ask_service_locked(kms, err);
	if (r == 0)
		r = kms->service != NULL;
	(void)pthread_mutex_unlock(&kms->lock);
	return r;
}

const char *kms_account(const struct kms *kms)
{
	return kms->service ? kms->service->account : "";
}

void kms_act_as(struct kms *kms, const struct kms_actor *actor)
{
	(void)pthread_mutex_lock(&kms->lock);
	kms->actor = actor && kms->service ? *actor : (struct kms_actor){0};
	(void)pthread_mutex_unlock(&kms->lock);
}

const char *kms_grant_token(struct kms *kms)
{
	const char *token;

	(void)pthread_mutex_lock(&kms->lock);
	token = kms->actor.own ? kms->actor.grant_token : NULL;
	(void)pthread_mutex_unlock(&kms->lock);
	return token;
}

void kms_hurry(struct kms *kms, unsigned timeout_ms)
{
	(void)pthread_mutex_lock(&kms->lock);
	kms->hurry_ms = timeout_ms;
	(void)pthread_mutex_unlock(&kms->lock);
}
