/*
 * When to try again: the standard retry mode of the AWS SDKs (AWS SDKs and Tools Reference Guide,
 * "Retry behavior"). Pure: no clock, no waiting.
 */
#ifndef KMSCLIENT_KMS_RETRY_H
#define KMSCLIENT_KMS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define KMS_RETRY_TOKENS       500
#define KMS_RETRY_COST	       5
#define KMS_RETRY_COST_TIMEOUT 10
#define KMS_RETRY_DELAY_MAX_MS 20000
#define KMS_RETRY_BASE_MS      1000

/* The retry quota of a client: retries take tokens, successes bring them back. */
struct kms_retry {
	unsigned tokens;
};

void kms_retry_init(struct kms_retry *retry);

/* Take the price of one retry. 0: the quota is used up, do not retry. */
unsigned kms_retry_take(struct kms_retry *retry, bool was_timeout);

/* A call went well; @taken is the price of its last retry, 0 when it had none. */
void kms_retry_success(struct kms_retry *retry, unsigned taken);

/*
 * How long to wait before retry @n (0 is the first): full jitter, @random out of the whole range of
 * uint32_t, below @base_ms * 2^@n and never above KMS_RETRY_DELAY_MAX_MS.
 */
unsigned kms_retry_delay_ms(unsigned n, unsigned base_ms, uint32_t random);

#endif
