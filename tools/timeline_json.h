/* A run as one JSON object: verdict, steps, checks, states and I/O as stretches of time, events, calls. Pure. */
#ifndef TOOLS_TIMELINE_JSON_H
#define TOOLS_TIMELINE_JSON_H

struct kms_json;
struct timeline;

/* The members are listed in docs/scenarios.md. The caller frees. NULL: out of memory. */
struct kms_json *timeline_json(const struct timeline *tl);

#endif
