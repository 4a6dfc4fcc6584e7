/*
 * A fuzz target without libFuzzer: run it once on each file of the directories given, then on each cut short
 * at every eighth. TAP: one line a directory.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define FILE_MAX (1 << 20)

static void run_file(const char *path)
{
	uint8_t *bytes = malloc(FILE_MAX);
	FILE *in = fopen(path, "rb");
	size_t len;

	if (!bytes || !in) {
		perror(path);
		exit(1);
	}
	len = fread(bytes, 1, FILE_MAX, in);
	(void)fclose(in); /* only read */
	for (size_t i = 0; i <= 8; i++) {
		size_t n = len * (8 - i) / 8;
		uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees one byte too far */

		if (!exact)
			exit(1);
		memcpy(exact, bytes, n);
		(void)LLVMFuzzerTestOneInput(exact, n); /* 0 */
		free(exact);
	}
	free(bytes);
}

static int run_directory(const char *dir)
{
	DIR *d = opendir(dir);
	char path[4096];
	int count = 0;

	if (!d) {
		perror(dir);
		exit(1);
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name); /* cut: perror() */
		run_file(path);
		count++;
	}
	(void)closedir(d); /* only read */
	return count;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int count = run_directory(argv[i]);

		printf("%sok %d - %d inputs of %s\n", count ? "" : "not ", i, count, argv[i]);
	}
	printf("1..%d\n", argc - 1);
	return 0;
}
