/* Which provider computes the ciphers: chosen once for the process. See blockcrypt.h. */
#include "blockcrypt_provider.h"

#include <errno.h>
#include <pthread.h>

#include "err.h"

const char *const blockcrypt_wants[] = {"auto", "openssl", "ipsec-mb", NULL};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct blockcrypt_provider *chosen; /* guarded by lock; NULL: nobody has yet */
static struct err notice;			 /* guarded by lock */

int blockcrypt_pick(enum blockcrypt_want want, const struct blockcrypt_provider *other,
		    const struct blockcrypt_provider **ret_provider, struct err *ret_notice,
		    struct err *err)
{
	struct err why;
	int r;

	err_clear(ret_notice);
	*ret_provider = &blockcrypt_openssl;
	if (want == BLOCKCRYPT_OPENSSL ||
	    (want == BLOCKCRYPT_AUTO && !(other && other->is_faster())))
		return 0;
	if (!other)
		return err_set(err, ENOTSUP,
			       "crypto provider 'ipsec-mb' was not there when this program was "
			       "built (Debian package libipsec-mb-dev)");
	r = other->check(&why);
	if (r < 0 && want == BLOCKCRYPT_AUTO)
		return 0;
	if (r == 0)
		r = blockcrypt_self_test(other, &why);
	if (r == 0)
		*ret_provider = other;
	else if (want == BLOCKCRYPT_AUTO)
		(void)err_set(ret_notice, -r,
			      "crypto provider '%s' is not used, OpenSSL is: its self-test failed: "
			      "%.1500s",
			      other->name, why.msg);
	else
		return err_set(err, -r, "crypto provider '%s': %.1500s", other->name, why.msg);
	return 0;
}

static int choose_locked(enum blockcrypt_want want, struct err *err)
{
	const struct blockcrypt_provider *provider;
	struct err new_notice;
	int r = blockcrypt_pick(want, blockcrypt_ipsec_mb, &provider, &new_notice, err);

	if (r < 0)
		return r;
	chosen = provider;
	notice = new_notice;
	return 0;
}

int blockcrypt_choose(enum blockcrypt_want want, struct err *err)
{
	int r;

	pthread_mutex_lock(&lock);
	r = choose_locked(want, err);
	pthread_mutex_unlock(&lock);
	return r;
}

const struct blockcrypt_provider *blockcrypt_provider_for(enum blockcrypt_cipher cipher)
{
	const struct blockcrypt_provider *provider;

	pthread_mutex_lock(&lock);
	if (!chosen)
		(void)choose_locked(BLOCKCRYPT_AUTO, NULL); /* ends with OpenSSL at least */
	provider = chosen;
	pthread_mutex_unlock(&lock);
	return provider->has(cipher) ? provider : &blockcrypt_openssl;
}

const char *blockcrypt_provider_name(enum blockcrypt_cipher cipher)
{
	return cipher == BLOCKCRYPT_NONE ? "none" : blockcrypt_provider_for(cipher)->name;
}

const char *blockcrypt_provider_version(enum blockcrypt_cipher cipher)
{
	return cipher == BLOCKCRYPT_NONE ? "" : blockcrypt_provider_for(cipher)->version();
}

const char *blockcrypt_notice(void)
{
	return notice.msg; /* chosen before other threads begin, see the header */
}
