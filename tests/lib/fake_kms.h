/*
 * A volume's header, lock and KMS for tests of the front: definitions, not declarations, for one test
 * program that includes it once and so links none of the real ones. What KMS answers stands in
 * a file, so that a daemon in another process obeys too: "ok", "refused", "down" or "slow".
 */
#ifndef TESTS_LIB_FAKE_KMS_H
#define TESTS_LIB_FAKE_KMS_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "attachment.h"
#include "err.h"
#include "change_job.h"
#include "rotate_job.h"
#include "kms.h"
#include "secret.h"
#include "volume.h"

#define FAKE_SIZE (256ULL << 20)

struct kms {
	atomic_bool cancelled;
};

static char fake_answer_file[512];

static void fake_kms_says(const char *answer)
{
	char tmp[600];
	FILE *f;

	(void)snprintf(tmp, sizeof(tmp), "%s.new", fake_answer_file);
	f = fopen(tmp, "w");
	if (!f || fputs(answer, f) < 0 || fclose(f) != 0 || rename(tmp, fake_answer_file) < 0)
		abort();
}

static int fake_geometry(struct store_geometry *ret_geometry)
{
	*ret_geometry = (struct store_geometry){
		.size_bytes = FAKE_SIZE,
		.block_size = 4096,
		.cipher = BLOCKCRYPT_AES_256_GCM,
		.volume_id = "vol-0123456789abcdef0",
	};
	return store_geometry_check(ret_geometry, NULL);
}

static int fake_data_key(struct secret **ret_key, struct err *err)
{
	uint8_t bytes[STORE_DATA_KEY_LEN];

	memset(bytes, 0x5a, sizeof(bytes));
	return secret_from(bytes, sizeof(bytes), ret_key, err);
}

int volume_header_load(const char *dir, struct volume_header **ret_header, struct err *err)
{
	struct volume_header *h = calloc(1, sizeof(*h));

	(void)dir;
	if (!h || fake_geometry(&h->geometry) < 0)
		return err_set(err, ENOMEM, "header");
	(void)snprintf(
		h->key_arn, sizeof(h->key_arn),
		"arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000001");
	*ret_header = h;
	return 0;
}

void volume_header_free(struct volume_header *header)
{
	free(header);
}

void volume_header_freep(struct volume_header **header)
{
	free(*header);
	*header = NULL;
}

/* Nobody changes a header here. */
struct change_job *change_job_new(const struct change_setup *setup)
{
	static char job;

	(void)setup;
	return (struct change_job *)&job;
}

void change_job_free(struct change_job *job)
{
	(void)job;
}

int change_job_start(struct change_job *job, const struct kms_json *request, struct err *err)
{
	(void)job;
	(void)request;
	return err_set(err, EINVAL, "not in this test");
}

struct kms_json *change_job_status(struct change_job *job)
{
	(void)job;
	return NULL;
}

int volume_lock(const char *dir, int *ret_fd, struct err *err)
{
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	*ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*ret_fd < 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, EBUSY, "is mounted");
	return 0;
}

struct rotate_job *rotate_job_new(const struct change_setup *setup, struct events *events)
{
	static int job;

	(void)setup;
	(void)events;
	return (struct rotate_job *)&job;
}

void rotate_job_free(struct rotate_job *job)
{
	(void)job;
}

int rotate_job_start(struct rotate_job *job, struct err *err)
{
	(void)job;
	return err_set(err, ENOTSUP, "nothing is changed here");
}

struct kms_json *rotate_job_status(struct rotate_job *job)
{
	(void)job;
	return NULL;
}

int volume_unwrap(const struct volume_header *header, struct kms *kms, struct secret **ret_data_key,
		  struct err *err)
{
	char answer[16] = "";
	FILE *f = fopen(fake_answer_file, "r");

	(void)header;
	if (!f || !fgets(answer, sizeof(answer), f))
		abort();
	fclose(f);
	if (strcmp(answer, "refused") == 0) {
		(void)err_set(err, EKEYREJECTED, "KMS refused Decrypt: DisabledException");
		(void)strcpy(err->code, "DisabledException");
		(void)strcpy(err->request_id, "11112222-3333-4444-5555-666677778888");
		err->http_status = 400;
		return -EKEYREJECTED;
	}
	for (int i = 0; strcmp(answer, "slow") == 0 && i < 6000 && !kms->cancelled; i++)
		usleep(10000);
	if (strcmp(answer, "ok") == 0)
		return fake_data_key(ret_data_key, err);
	return err_set(err, ETIMEDOUT, "no answer from KMS");
}

int volume_check_key(const struct volume_header *header, struct kms *kms, struct err *err)
{
	AUTO(secret_freep) struct secret *key = NULL;

	return volume_unwrap(header, kms, &key, err);
}

/* There is no service here: attaching is unwrapping. */
int attachment_begin(const struct volume_header *header, int dir_fd, struct kms *kms,
		     struct attachment **ret_attachment, struct secret **ret_key, struct err *err)
{
	(void)dir_fd;
	(void)ret_attachment;
	return volume_unwrap(header, kms, ret_key, err);
}

bool attachment_is_rds(const struct volume_header *header)
{
	(void)header;
	return false;
}

int attachment_explain(const struct volume_header *header, struct kms *kms, int r, struct err *err)
{
	(void)header;
	(void)kms;
	(void)err;
	return r;
}

void attachment_end(struct attachment *attachment)
{
	(void)attachment;
}

int kms_open(const struct kms_config *config, struct kms **ret_kms, struct err *err)
{
	(void)config;
	*ret_kms = calloc(1, sizeof(**ret_kms));
	return *ret_kms ? 0 : err_set(err, ENOMEM, "kms");
}

void kms_close(struct kms *kms)
{
	free(kms);
}

void kms_forget(struct kms *kms)
{
	(void)kms;
}

void kms_cancel(struct kms *kms)
{
	kms->cancelled = true;
}

enum kms_fault kms_fault(const struct err *err)
{
	return !err->num		  ? KMS_FAULT_NONE
	       : err->num == EKEYREJECTED ? KMS_FAULT_REFUSED
					  : KMS_FAULT_TRANSIENT;
}

#endif
