/* Watching kmsd's audit trail while a scenario runs: each call of KMS with the moment when it was seen. */
#ifndef TOOLS_SCENARIO_AUDIT_H
#define TOOLS_SCENARIO_AUDIT_H

struct err;

/*
 * Append a line of JSON to the file @to for each record of a KMS call that is appended to @audit from now on: "t" (ms
 * since 1970, by this machine's clock; kmsd's may be moved, and its records have seconds only), "op", "error"
 * ("" for none), "volume" (the id in the encryption context, or ""), "by" ("user" for who typed it, "volume" for kmsvol and
 * the services it plays). Until SIGTERM, SIGINT or SIGHUP, when what has been written so far is read to its end.
 */
int scenario_audit_run(const char *audit, const char *to, struct err *err);

#endif
