/* What the memory of a volume's process still holds when its key is gone: nothing that decrypts or was decrypted. */
#define _GNU_SOURCE 1
#include "../lib/front_rig.h"

#include <glob.h>

#include <openssl/crypto.h>

#include "format.h"
#include "hkdf.h"

#define NEEDLE_LEN   16
#define NEEDLES_MAX  8
#define PLAIN_BLOCKS 256

struct needle {
	char name[64];
	uint8_t bytes[NEEDLE_LEN];
};

static struct needle needles[NEEDLES_MAX];
static size_t needle_count;

static void add_needle(const char *name, const uint8_t *bytes)
{
	struct needle *n = &needles[needle_count++];

	assert_true(needle_count <= NEEDLES_MAX);
	snprintf(n->name, sizeof(n->name), "%s", name);
	memcpy(n->bytes, bytes, NEEDLE_LEN);
}

static void add_segment_keys(const struct secret *key)
{
	char path[128];
	uint8_t header[FORMAT_SEGMENT_LEN], keys[BLOCKCRYPT_KEY_LEN + 32];
	struct err err;
	int fd;

	snprintf(path, sizeof(path), "%s/segments/00000001", volume);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, header, sizeof(header)), sizeof(header));
	close(fd);
	assert_int_equal(hkdf_sha256(key, header + 40, FORMAT_SALT_LEN,
				     "kmsvol v1 segment aes-256-gcm", keys, sizeof(keys), &err),
			 0);
	add_needle("a segment's key", keys);
	add_needle("a segment's second key", keys + BLOCKCRYPT_KEY_LEN);
}

/* The keys that the daemon, which runs already and so did not inherit this memory, derives. */
static void add_derived_keys(void)
{
	uint8_t key[32];
	struct secret *data_key;
	struct err err;

	assert_int_equal(fake_data_key(&data_key, &err), 0);
	assert_int_equal(hkdf_sha256(data_key, NULL, 0, "kmsvol v1 map vol-0123456789abcdef0", key,
				     sizeof(key), &err),
			 0);
	add_needle("the map's key", key);
	assert_int_equal(
		hkdf_sha256(data_key, NULL, 0, "kmsvol v1 segment header", key, sizeof(key), &err),
		0);
	add_needle("the segment headers' key", key);
	add_segment_keys(data_key);
	secret_free(data_key);
}

static void write_and_read_plaintext(void)
{
	static uint8_t bytes[2 * BLOCK];
	uint8_t needle[NEEDLE_LEN];
	int fd = open_disk(O_RDWR);

	for (size_t i = 0; i < NEEDLE_LEN; i++)
		needle[i] = (uint8_t)(0xa1 + 7 * i);
	add_needle("plaintext", needle);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = needle[i % NEEDLE_LEN];
	for (int i = 0; i < PLAIN_BLOCKS; i += 2) {
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), (off_t)i * BLOCK), sizeof(bytes));
		/* A part of a block: it is read, changed and written. */
		assert_int_equal(pwrite(fd, bytes, 64, (off_t)i * BLOCK + 160), 64);
	}
	assert_int_equal(fsync(fd), 0);
	for (int i = 0; i < PLAIN_BLOCKS; i += 2)
		assert_int_equal(pread(fd, bytes, sizeof(bytes), (off_t)i * BLOCK), sizeof(bytes));
	close(fd);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(needle, sizeof(needle));
}

static size_t count_in(const uint8_t *mem, size_t len, const uint8_t *needle)
{
	const uint8_t *at = mem, *end = mem + len;
	size_t n = 0;

	while ((at = memmem(at, (size_t)(end - at), needle, NEEDLE_LEN))) {
		n++;
		at++;
	}
	return n;
}

/* Look through one mapping. Inaccessible ones have nothing. */
static void search_range(int mem, uint64_t from, uint64_t to, size_t *found)
{
	size_t len = (size_t)(to - from);
	uint8_t *bytes = malloc(len);
	ssize_t n;

	assert_non_null(bytes);
	n = pread(mem, bytes, len, (off_t)from);
	for (size_t i = 0; n > 0 && i < needle_count; i++)
		found[i] += count_in(bytes, (size_t)n, needles[i].bytes);
	free(bytes);
}

/* How often each needle stands in the writable memory of @pid. */
static void search_process(pid_t pid, size_t *found)
{
	char path[64], line[512], rights[8];
	unsigned long long from, to;
	FILE *maps;
	int mem;

	memset(found, 0, NEEDLES_MAX * sizeof(*found));
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		skip(); /* its memory is for root only */
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "r");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%llx-%llx %7s", &from, &to, rights) == 3 &&
		    strncmp(rights, "rw", 2) == 0 && to - from < 1ULL << 32)
			search_range(mem, from, to, found);
	fclose(maps);
	close(mem);
}

static void keys_and_plaintext_leave_memory_with_the_key(void **state)
{
	size_t found[NEEDLES_MAX];
	pid_t pid;

	(void)state;
	needle_count = 0;
	OPENSSL_cleanse(needles, sizeof(needles)); /* the daemon inherits this process's memory */
	mount_for(KEYWATCH_ERROR);
	pid = (pid_t)number("pid");
	write_and_read_plaintext();
	add_derived_keys();
	search_process(pid, found);
	for (size_t i = 0; i < needle_count; i++)
		if (found[i] == 0)
			fail_msg("%s is not found while it is in use: the search is blind",
				 needles[i].name);
	fake_kms_says("refused");
	wait_state(unreachable);
	search_process(pid, found);
	for (size_t i = 0; i < needle_count; i++)
		if (found[i])
			fail_msg("%s stands in memory %zu times", needles[i].name, found[i]);
	unmount();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(keys_and_plaintext_leave_memory_with_the_key),
		T_URING(keys_and_plaintext_leave_memory_with_the_key),
	};

	choose(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
