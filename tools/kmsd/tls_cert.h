/*
 * A certificate for a server on this machine, made by itself: an authority that signs one certificate
 * and whose key is then thrown away, so that nobody can sign another that its clients would trust.
 */
#ifndef KMSD_TLS_CERT_H
#define KMSD_TLS_CERT_H

struct err;

#define TLS_CERT_FILE	   "tls.pem"	/* key and certificate; 0600 */
#define TLS_CERT_AUTHORITY "tls-ca.pem" /* what clients trust */

/*
 * See to it that both files are in @dir_fd, for localhost, 127.0.0.1, ::1 and the IP address
 * @address: those that are there stay as long as they are good for another 30 days.
 */
int tls_cert_prepare(int dir_fd, const char *address, struct err *err);

#endif
