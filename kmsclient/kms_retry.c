/* The retry quota and the back-off of the SDKs' standard mode. See kms_retry.h. */
#include "kms_retry.h"

void kms_retry_init(struct kms_retry *retry)
{
	retry->tokens = KMS_RETRY_TOKENS;
}

unsigned kms_retry_take(struct kms_retry *retry, bool was_timeout)
{
	unsigned cost = was_timeout ? KMS_RETRY_COST_TIMEOUT : KMS_RETRY_COST;

	if (cost > retry->tokens)
		return 0;
	retry->tokens -= cost;
	return cost;
}

void kms_retry_success(struct kms_retry *retry, unsigned taken)
{
	retry->tokens += taken ? taken : 1;
	if (retry->tokens > KMS_RETRY_TOKENS)
		retry->tokens = KMS_RETRY_TOKENS;
}

unsigned kms_retry_delay_ms(unsigned n, unsigned base_ms, uint32_t random)
{
	uint64_t top = base_ms;

	while (n-- > 0 && top < KMS_RETRY_DELAY_MAX_MS)
		top *= 2;
	if (top > KMS_RETRY_DELAY_MAX_MS)
		top = KMS_RETRY_DELAY_MAX_MS;
	return (unsigned)(top * random >> 32);
}
