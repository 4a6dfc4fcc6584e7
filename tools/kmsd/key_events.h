/*
 * What KMS does to keys by itself, in the audit trail: RotateKey and DeleteKey, as CloudTrail has them
 * ("AWS KMS Developer Guide, Logging AWS KMS API calls: RotateKey, DeleteKey"), with eventType
 * AwsServiceEvent and invoked by "AWS Internal".
 */
#ifndef KMSD_KEY_EVENTS_H
#define KMSD_KEY_EVENTS_H

struct audit;
struct keyring;

/* From now on the audit trail tells what @ring does. Before requests are served. */
void key_events_watch(struct keyring *ring, struct audit *audit);

#endif
