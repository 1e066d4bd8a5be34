/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_parser.h"

#include "model/refname.h"

/* ---- Characters ---- */

static bool is_token_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') ||
           (byte > ' ' && byte < 0x7f && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool name_is(struct slice name, const char *lower)
{
    size_t i = 0;

    for (; i < name.size && lower[i] != '\0'; i++) {
        uint8_t byte = name.data[i];

        if (byte >= 'A' && byte <= 'Z') {
            byte = (uint8_t)(byte - 'A' + 'a');
        }
        if (byte != (uint8_t)lower[i]) {
            return false;
        }
    }
    return i == name.size && lower[i] == '\0';
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = slice_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* ---- Lines ---- */

/* Finds the end of the head; every byte is looked at once. */
static enum http_verdict scan(struct slice input, size_t *scanned, size_t *ret_end)
{
    size_t max = input.size < HTTP_HEADER_BYTES_MAX ? input.size : HTTP_HEADER_BYTES_MAX;

    for (size_t i = *scanned; i < max; i++) {
        uint8_t byte = input.data[i];

        if (byte == '\n') {
            if (i == 0 || input.data[i - 1] != '\r') {
                return HTTP_BAD;
            }
            if (i >= 3 && input.data[i - 2] == '\n') {
                *ret_end = i + 1;
                return HTTP_GOOD;
            }
        } else if ((i > 0 && input.data[i - 1] == '\r') || byte == 0x7f ||
                   (byte < ' ' && byte != '\t' && byte != '\r')) {
            return HTTP_BAD;
        }
    }
    *scanned = max;
    return HTTP_MORE;
}

static struct slice take_line(struct slice *rest)
{
    const uint8_t *end = memchr(rest->data, '\r', rest->size);
    struct slice line = slice_of(rest->data, (size_t)(end - rest->data));

    *rest = slice_of(end + 2, rest->size - line.size - 2);
    return line;
}

static int read_request_line(struct slice line, struct http_head *h)
{
    static const char version[] = " HTTP/1.";
    struct slice target;
    const uint8_t *space = memchr(line.data, ' ', line.size);
    const uint8_t *question;
    size_t tail = sizeof version; /* the text and one digit */

    if (space == NULL || space == line.data || line.size < tail + 3) {
        return 400;
    }
    h->method = slice_of(line.data, (size_t)(space - line.data));
    if (memcmp(line.data + line.size - tail, version, tail - 1) != 0 ||
        (size_t)(space - line.data) + 1 > line.size - tail) {
        return 400;
    }
    h->is_old = line.data[line.size - 1] == '0';
    if (!h->is_old && line.data[line.size - 1] != '1') {
        return 505;
    }
    target = slice_of(space + 1, line.size - tail - h->method.size - 1);
    if (target.size == 0 || target.data[0] != '/') {
        return 400;
    }
    for (size_t i = 0; i < target.size; i++) {
        if (target.data[i] <= ' ' || target.data[i] >= 0x7f || target.data[i] == '#') {
            return 400;
        }
    }
    question = memchr(target.data, '?', target.size);
    h->has_query = question != NULL;
    h->path = target;
    if (question != NULL) {
        h->path.size = (size_t)(question - target.data);
        h->query = slice_of(question + 1, target.size - h->path.size - 1);
    }
    return 0;
}

static int read_length(struct slice value, struct http_head *h)
{
    if (h->has_length || value.size == 0 || value.size > 10) {
        return 400;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return 400;
        }
        h->length = h->length * 10 + (uint64_t)(value.data[i] - '0');
    }
    h->has_length = true;
    return h->length > HTTP_BODY_BYTES_MAX ? 413 : 0;
}

static int set_once(struct slice *place, struct slice value)
{
    if (place->data != NULL) {
        return 400;
    }
    *place = value;
    return 0;
}

static int read_header(struct slice name, struct slice value, struct http_head *h)
{
    static const struct {
        const char *name;
        size_t offset;
    } kept[] = {
        { "host", offsetof(struct http_head, host) },
        { "authorization", offsetof(struct http_head, authorization) },
        { "content-type", offsetof(struct http_head, content_type) },
        { "idempotency-key", offsetof(struct http_head, idempotency_key) },
        { "x-original-uri", offsetof(struct http_head, original_uri) },
        { "x-original-method", offsetof(struct http_head, original_method) },
    };

    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (name_is(name, kept[i].name)) {
            return set_once((struct slice *)(void *)((char *)h + kept[i].offset), value);
        }
    }
    if (name_is(name, "content-length")) {
        return read_length(value, h);
    }
    if (name_is(name, "transfer-encoding")) {
        return 411; /* a length is asked for instead */
    }
    if (name_is(name, "connection")) {
        h->closes = h->closes || name_is(value, "close");
    } else if (name_is(name, "expect")) {
        h->expects_continue = name_is(value, "100-continue");
        return h->expects_continue ? 0 : 417;
    }
    return 0;
}

static int read_header_line(struct slice line, struct http_head *h)
{
    const uint8_t *colon = memchr(line.data, ':', line.size);
    struct slice name;

    if (colon == NULL || colon == line.data) {
        return 400;
    }
    name = slice_of(line.data, (size_t)(colon - line.data));
    for (size_t i = 0; i < name.size; i++) {
        if (!is_token_byte(name.data[i])) {
            return 400;
        }
    }
    return read_header(name, trim(slice_of(colon + 1, line.size - name.size - 1)), h);
}

enum http_verdict http_parse(struct slice input, size_t *scanned, struct http_head *ret_head,
                             int *ret_code)
{
    struct http_head h = { 0 };
    struct slice rest;
    enum http_verdict verdict = scan(input, scanned, &h.bytes);
    unsigned count = 0;
    int code;

    if (verdict != HTTP_GOOD) {
        *ret_code = 400;
        if (verdict == HTTP_MORE && *scanned >= HTTP_HEADER_BYTES_MAX) {
            *ret_code = memchr(input.data, '\n', HTTP_HEADER_BYTES_MAX) == NULL ? 414 : 431;
            verdict = HTTP_BAD;
        }
        return verdict;
    }
    rest = slice_of(input.data, h.bytes - 2);
    code = read_request_line(take_line(&rest), &h);
    while (code == 0 && rest.size > 0) {
        code = ++count > HTTP_HEADERS_MAX ? 431 : read_header_line(take_line(&rest), &h);
    }
    if (code == 0 && !h.is_old && h.host.data == NULL) {
        code = 400;
    }
    *ret_code = code;
    *ret_head = h;
    return code == 0 ? HTTP_GOOD : HTTP_BAD;
}

/* ---- Escapes ---- */

bool http_decode(struct slice text, uint8_t *out, size_t *ret_size)
{
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        out[size++] = byte;
    }
    *ret_size = size;
    return true;
}

/* An escape only where the byte cannot stand as it is: one spelling for each path. */
static bool is_spelled_once(struct slice path)
{
    for (size_t i = 0; i < path.size; i++) {
        int byte;

        if (path.data[i] != '%') {
            continue;
        }
        if (i + 2 >= path.size || hex_digit(path.data[i + 1]) < 0 ||
            hex_digit(path.data[i + 2]) < 0) {
            return false;
        }
        byte = hex_digit(path.data[i + 1]) << 4 | hex_digit(path.data[i + 2]);
        if (byte < ' ' || byte == 0x7f || byte == '/' || byte == '\\' || byte == '.' ||
            byte == '-' || byte == '_' || byte == '~' || (byte >= '0' && byte <= '9') ||
            (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z')) {
            return false;
        }
        i += 2;
    }
    return true;
}

static bool strip(struct slice *path, const char *suffix)
{
    size_t size = strlen(suffix);

    if (path->size <= size || memcmp(path->data + path->size - size, suffix, size) != 0) {
        return false;
    }
    path->size -= size;
    return true;
}

bool http_decode_base64(struct slice text, uint8_t *out, size_t *ret_size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t size = 0;

    for (unsigned pad = 0; pad < 2 && text.size > 0 && text.data[text.size - 1] == '='; pad++) {
        text.size--;
    }
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = text.data[i] == 0 ? NULL : strchr(digits, text.data[i]);

        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - digits);
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[size++] = (uint8_t)(bits >> bit_count);
        }
    }
    *ret_size = size;
    return true;
}

bool http_parse_git_uri(struct slice uri, uint8_t *out, struct slice *ret_path, bool *ret_is_write)
{
    static const char service[] = "service=git-receive-pack";
    const uint8_t *question = uri.size == 0 ? NULL : memchr(uri.data, '?', uri.size);
    struct slice path = uri;
    struct slice query = SLICE_NONE;
    size_t size;

    if (uri.size == 0 || uri.data[0] != '/') {
        return false;
    }
    if (question != NULL) {
        path.size = (size_t)(question - uri.data);
        query = slice_of(question + 1, uri.size - path.size - 1);
    }
    *ret_is_write = false;
    if (strip(&path, "/git-receive-pack")) {
        *ret_is_write = true;
    } else if (strip(&path, "/info/refs")) {
        *ret_is_write = query.size > 0 &&
                        memmem(query.data, query.size, service, sizeof service - 1) != NULL;
    } else if (!strip(&path, "/git-upload-pack") && !strip(&path, "/git-upload-archive")) {
        (void)strip(&path, "/HEAD");
    }
    if (!is_spelled_once(path) ||
        !http_decode(slice_of(path.data + 1, path.size - 1), out, &size)) {
        return false;
    }
    *ret_path = slice_of(out, size);
    return repository_path_is_valid(*ret_path);
}
