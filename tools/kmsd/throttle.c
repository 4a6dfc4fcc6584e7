/* Quotas and buckets. See throttle.h. */
#include "throttle.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "ids.h"
#include "keyref.h"

#define SCOPES_MAX 256 /* accounts and regions; those behind share the last one's buckets */
#define SHARED	   0   /* the cryptographic operations of symmetric keys; by region */

/* A second; SHARED: all these have one bucket. */
static const struct {
	const char *operation;
	double rate;
} quotas[] = {
	{"Decrypt", SHARED},
	{"Encrypt", SHARED},
	{"GenerateDataKey", SHARED},
	{"GenerateDataKeyWithoutPlaintext", SHARED},
	{"GenerateMac", SHARED},
	{"GenerateRandom", SHARED},
	{"ReEncrypt", SHARED},
	{"VerifyMac", SHARED},
	{"CancelKeyDeletion", 5},
	{"ConnectCustomKeyStore", 5},
	{"CreateAlias", 5},
	{"CreateCustomKeyStore", 5},
	{"CreateGrant", 50},
	{"CreateKey", 5},
	{"DeleteAlias", 15},
	{"DeleteCustomKeyStore", 5},
	{"DeleteImportedKeyMaterial", 15},
	{"DescribeCustomKeyStores", 5},
	{"DescribeKey", 2000},
	{"DisableKey", 5},
	{"DisableKeyRotation", 5},
	{"DisconnectCustomKeyStore", 5},
	{"EnableKey", 5},
	{"EnableKeyRotation", 15},
	{"GetKeyLastUsage", 5},
	{"GetKeyPolicy", 1000},
	{"GetKeyRotationStatus", 1000},
	{"GetParametersForImport", 1},
	{"GetPublicKey", 2000},
	{"ImportKeyMaterial", 15},
	{"ListAliases", 500},
	{"ListGrants", 100},
	{"ListKeyPolicies", 100},
	{"ListKeyRotations", 100},
	{"ListKeys", 500},
	{"ListResourceTags", 2000},
	{"ListRetirableGrants", 100},
	{"PutKeyPolicy", 15},
	{"ReplicateKey", 5},
	{"RetireGrant", 50},
	{"RevokeGrant", 50},
	{"RotateKeyOnDemand", 5},
	{"ScheduleKeyDeletion", 15},
	{"TagResource", 10},
	{"UntagResource", 5},
	{"UpdateAlias", 5},
	{"UpdateCustomKeyStore", 5},
	{"UpdateKeyDescription", 5},
	{"UpdatePrimaryRegion", 5},
};

#define QUOTA_COUNT (sizeof(quotas) / sizeof(quotas[0]))

static const struct {
	const char *region;
	double rate;
} shared_rates[] = {
	{"us-east-1", 100000},	   {"us-west-2", 100000},     {"eu-west-1", 100000},
	{"us-east-2", 20000},	   {"ap-southeast-1", 20000}, {"ap-southeast-2", 20000},
	{"ap-northeast-1", 20000}, {"eu-central-1", 20000},   {"eu-west-2", 20000},
};

#define SHARED_RATE 10000 /* elsewhere */

struct bucket {
	double tokens;
	int64_t at_ms;
	bool used; /* else it is full */
};

/* What one account does in one region. */
struct scope {
	char account[IDS_ACCOUNT_LEN + 1];
	char region[KEYREF_REGION_MAX + 1];
	struct bucket buckets[QUOTA_COUNT]; /* the shared one is the first */
};

struct throttle {
	atomic_bool on;
	atomic_ullong refused;
	pthread_mutex_t lock;
	double factor;	      /* guarded by lock, as what follows; 0: off */
	struct scope *scopes; /* owned; SCOPES_MAX of them once it is on */
	size_t count;
};

int throttle_new(struct throttle **ret_throttle, struct err *err)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (t)
		t->scopes = calloc(SCOPES_MAX, sizeof(*t->scopes));
	if (!t || !t->scopes) {
		free(t);
		return err_set(err, ENOMEM, "throttling");
	}
	(void)pthread_mutex_init(&t->lock, NULL); /* cannot fail with these attributes */
	*ret_throttle = t;
	return 0;
}

void throttle_free(struct throttle *throttle)
{
	if (!throttle)
		return;
	(void)pthread_mutex_destroy(&throttle->lock); /* nobody holds it */
	free(throttle->scopes);
	free(throttle);
}

void throttle_set(struct throttle *throttle, double factor)
{
	pthread_mutex_lock(&throttle->lock);
	throttle->factor = factor;
	throttle->count = 0;
	atomic_store(&throttle->refused, 0);
	atomic_store(&throttle->on, factor > 0);
	pthread_mutex_unlock(&throttle->lock);
}

double throttle_factor(const struct throttle *throttle)
{
	struct throttle *t = (struct throttle *)throttle; /* its lock only */
	double factor;

	pthread_mutex_lock(&t->lock);
	factor = t->factor;
	pthread_mutex_unlock(&t->lock);
	return factor;
}

uint64_t throttle_refused(const struct throttle *throttle)
{
	return atomic_load(&throttle->refused);
}

/* -1: there is no quota for it. */
static int find_quota(const char *operation)
{
	for (size_t i = 0; i < QUOTA_COUNT; i++)
		if (strcmp(quotas[i].operation, operation) == 0)
			return (int)i;
	return -1;
}

static double rate_of(int quota, const char *region)
{
	if (quotas[quota].rate != SHARED)
		return quotas[quota].rate;
	for (size_t i = 0; i < sizeof(shared_rates) / sizeof(shared_rates[0]); i++)
		if (strcmp(shared_rates[i].region, region) == 0)
			return shared_rates[i].rate;
	return SHARED_RATE;
}

double throttle_quota(const char *operation, const char *region)
{
	int quota = find_quota(operation);

	return quota < 0 ? 0 : rate_of(quota, region);
}

static struct scope *find_scope_locked(struct throttle *t, const char *account, const char *region)
{
	struct scope *s;

	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->scopes[i].account, account) == 0 &&
		    strcmp(t->scopes[i].region, region) == 0)
			return &t->scopes[i];
	if (t->count == SCOPES_MAX)
		return &t->scopes[SCOPES_MAX - 1];
	s = &t->scopes[t->count++];
	*s = (struct scope){0};
	(void)snprintf(s->account, sizeof(s->account), "%s", account); /* fits */
	(void)snprintf(s->region, sizeof(s->region), "%s", region);    /* fits */
	return s;
}

static bool take(struct bucket *b, double rate, int64_t now_ms)
{
	double most = rate > 1 ? rate : 1;

	if (!b->used)
		b->tokens = most;
	else if (now_ms > b->at_ms)
		b->tokens += (double)(now_ms - b->at_ms) * rate / 1000;
	if (b->tokens > most)
		b->tokens = most;
	b->used = true;
	b->at_ms = now_ms;
	if (b->tokens < 1 - 1e-9) /* what sums of small steps lack */
		return false;
	b->tokens -= 1;
	return true;
}

bool throttle_take(struct throttle *throttle, const char *account, const char *region,
		   const char *operation, int64_t now_ms)
{
	int quota;
	bool ok;

	if (!throttle || !atomic_load_explicit(&throttle->on, memory_order_relaxed))
		return true;
	quota = find_quota(operation);
	if (quota < 0)
		return true;
	pthread_mutex_lock(&throttle->lock);
	ok = throttle->factor <= 0 ||
	     take(&find_scope_locked(throttle, account, region)
			   ->buckets[quotas[quota].rate == SHARED ? 0 : quota],
		  rate_of(quota, region) * throttle->factor, now_ms);
	pthread_mutex_unlock(&throttle->lock);
	if (!ok)
		atomic_fetch_add(&throttle->refused, 1);
	return ok;
}
