/*
 * The error sentence that travels up the stack beside a negative errno, and what AWS said when it
 * was AWS that refused. A plain value on the caller's stack: nothing to free.
 */
#ifndef KMSCLIENT_ERR_H
#define KMSCLIENT_ERR_H

#define ERR_MSG_MAX	   2048
#define ERR_CODE_MAX	   96
#define ERR_REQUEST_ID_MAX 96

/* num and msg are always set together; code to http_status only by an answer of an AWS service. */
struct err {
	int num;			     /* positive errno; 0: no error */
	int http_status;		     /* 0: no HTTP answer */
	char code[ERR_CODE_MAX];	     /* AWS exception name, "" for none */
	char request_id[ERR_REQUEST_ID_MAX]; /* x-amzn-RequestId, "" for none */
	char aws_message[ERR_MSG_MAX];	     /* AWS's own text, "" for none */
	char msg[ERR_MSG_MAX];		     /* the sentence for people, no newline */
};

/* Make @err empty. NULL is allowed. */
void err_clear(struct err *err);

/*
 * Set @err (NULL is allowed) to a new sentence, forgetting what it held. @num is a positive errno.
 * Returns -@num, so that `return err_set(...)` works. A sentence too long is cut.
 */
int err_set(struct err *err, int num, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Put "fmt: " before the sentence in @err, keeping its number and what AWS said.
 * Returns -@err->num (-EIO if @err is NULL or empty, which is a caller's mistake).
 */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
