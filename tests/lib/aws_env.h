/*
 * A clean AWS environment for a test program: none of the variables that the SDKs look at, and a
 * home directory of its own.
 */
#ifndef TESTS_AWS_ENV_H
#define TESTS_AWS_ENV_H

/* Remove all AWS_* variables and proxies; HOME becomes an empty directory. IMDS is off. */
void aws_env_clean(void);

/* Remove that directory; clean-up for the end. */
void aws_env_remove(void);

/* Write a file below HOME ("/.aws/config"), making ~/.aws. Its path, which stays good until the
 * next call. */
const char *aws_env_write(const char *rest, const char *text);

#endif
