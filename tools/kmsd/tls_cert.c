/* Certificates made and looked at. See tls_cert.h. */
#include "tls_cert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bytes.h"
#include "err.h"
#include "textfile.h"

#define FILE_MAX  65536
#define DAY_S	  (24 * 60 * 60)
#define VALID_S	  (397 * DAY_S) /* clients refuse certificates that are good for much longer */
#define RENEWAL_S (30 * DAY_S)
#define NAME_MAX_ 512

static int failed(struct err *err)
{
	return err_set(err, EIO, "the TLS certificate cannot be made: libcrypto failed");
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool set_serial(X509 *cert)
{
	unsigned char bytes[16];
	BIGNUM *n = NULL;
	bool ok = RAND_bytes(bytes, sizeof(bytes)) == 1;

	bytes[0] = (bytes[0] & 0x3f) | 0x40; /* positive and of full length */
	n = ok ? BN_bin2bn(bytes, sizeof(bytes), NULL) : NULL;
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok;
}

/* What both have in common; @issuer is the certificate itself for the authority. NULL: it failed. */
static X509 *new_cert(EVP_PKEY *key, const char *name, X509 *issuer)
{
	X509 *cert = X509_new();
	X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;

	if (subject && X509_set_version(cert, 2) == 1 && set_serial(cert) &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), VALID_S) && X509_set_pubkey(cert, key) == 1 &&
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
				       -1, 0) == 1 &&
	    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
	    add_extension(cert, cert, NID_subject_key_identifier, "hash"))
		return cert;
	X509_free(cert);
	return NULL;
}

static X509 *new_authority(EVP_PKEY *key)
{
	X509 *ca = new_cert(key, "kmsd on this machine", NULL);

	if (ca && add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	    add_extension(ca, ca, NID_key_usage, "critical,keyCertSign") &&
	    X509_sign(ca, key, EVP_sha256()) > 0)
		return ca;
	X509_free(ca);
	return NULL;
}

static X509 *new_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *address)
{
	X509 *leaf = new_cert(key, "localhost", ca);
	char names[NAME_MAX_];

	(void)snprintf(names, sizeof(names), "DNS:localhost,IP:127.0.0.1,IP:::1,IP:%s",
		       address); /* fits: an address */
	if (leaf && add_extension(leaf, ca, NID_authority_key_identifier, "keyid:always") &&
	    add_extension(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(leaf, ca, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(leaf, ca, NID_ext_key_usage, "serverAuth") &&
	    add_extension(leaf, ca, NID_subject_alt_name, names) &&
	    X509_sign(leaf, ca_key, EVP_sha256()) > 0)
		return leaf;
	X509_free(leaf);
	return NULL;
}

/* Write @cert, behind @key if there is one, as PEM. */
static int save(int dir_fd, const char *name, EVP_PKEY *key, X509 *cert, mode_t mode,
		struct err *err)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = 0;
	int r = 0;

	if (!out || (key && PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1) ||
	    PEM_write_bio_X509(out, cert) != 1 || (len = BIO_get_mem_data(out, &text)) <= 0)
		r = failed(err);
	else if ((r = textfile_replace_bytes(dir_fd, name, text, (size_t)len, mode)) < 0)
		r = err_set(err, -r, "'%s': %s", name, strerror(-r));
	if (text && len > 0)
		OPENSSL_cleanse(text, (size_t)len);
	BIO_free(out);
	return r;
}

static int make(int dir_fd, const char *address, struct err *err)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = ca_key ? new_authority(ca_key) : NULL;
	X509 *leaf = ca && key ? new_leaf(key, ca, ca_key, address) : NULL;
	int r = leaf ? 0 : failed(err);

	r = r ? r : save(dir_fd, TLS_CERT_FILE, key, leaf, 0600, err);
	r = r ? r : save(dir_fd, TLS_CERT_AUTHORITY, NULL, ca, 0644, err);
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	return r;
}

/* The certificate in a file, and its key if @ret_key is not NULL; NULL where there is none. */
static X509 *load(int dir_fd, const char *name, EVP_PKEY **ret_key)
{
	char *text = NULL;
	X509 *cert = NULL;
	BIO *in;

	if (textfile_read(dir_fd, name, FILE_MAX, &text) < 0)
		return NULL;
	in = BIO_new_mem_buf(text, -1);
	if (in && ret_key)
		*ret_key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	if (in)
		cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
	BIO_free(in);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	return cert;
}

/* Whether what is there belongs together, names @address, and lasts. */
static bool good(int dir_fd, const char *address)
{
	time_t later = time(NULL) + RENEWAL_S;
	EVP_PKEY *key = NULL;
	X509 *ca = load(dir_fd, TLS_CERT_AUTHORITY, NULL);
	X509 *leaf = load(dir_fd, TLS_CERT_FILE, &key);
	bool ok = ca && leaf && key && X509_check_private_key(leaf, key) == 1 &&
		  X509_verify(leaf, X509_get0_pubkey(ca)) == 1 &&
		  X509_cmp_time(X509_get0_notAfter(leaf), &later) > 0 &&
		  X509_check_ip_asc(leaf, address, 0) == 1;

	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(key);
	return ok;
}

int tls_cert_prepare(int dir_fd, const char *address, struct err *err)
{
	return good(dir_fd, address) ? 0 : make(dir_fd, address, err);
}
