/* The heads of replies. See http_reply.h. */
#include "http_reply.h"

#include <stdio.h>
#include <time.h>

#include "bytes.h"
#include "flow.h"

static const char *reason_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} rows[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{417, "Expectation Failed"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].text;
	return "Answer";
}

/* RFC 9110 section 5.6.7, in English wherever the server is. */
static void format_date(time_t t, char ret[64])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = {0};

	(void)gmtime_r(&t, &tm); /* fails for years that no clock has */
	(void)snprintf(ret, 64, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", &days[3 * tm.tm_wday],
		       tm.tm_mday % 100, &months[3 * tm.tm_mon], (tm.tm_year + 1900) % 10000,
		       tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100); /* fits */
}

int http_reply_head(const struct flow_reply *reply, const char *connection, struct buf *out)
{
	char date[64];

	format_date(time(NULL), date);
	return buf_printf(out,
			  "HTTP/1.1 %u %s\r\nDate: %s\r\nx-amzn-RequestId: %s\r\n"
			  "Content-Type: %s\r\nContent-Length: %zu\r\n%s\r\n",
			  reply->status, reason_of(reply->status), date, reply->request_id,
			  reply->content_type, reply->body_len, connection);
}
