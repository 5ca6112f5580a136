/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From, Date, Subject and body, so that git am reads back just what was meant. The prompt is
 * anybody's text: in the subject it is one line of visible characters, encoded by RFC 2047 when it
 * is not ASCII; in the body every line of it is indented, so that none can pass for a header, a
 * "From " line or the "---" that ends the message. What is written here parse.c reads, and nothing
 * else.
 */
#include "patch/mail.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "patch/commit.h"
#include "util/escape.h"

#define SUBJECT_CHARACTERS 72
#define BODY_BYTES         ((size_t)16 * 1024)
#define ENCODED_BYTES      45 /* of one RFC 2047 word, which may have 75 with its frame */

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

/* One RFC 2047 "Q" byte. Letters and digits only stay as they are: right in every header. */
static void append_q(GString *out, unsigned char byte)
{
    if (g_ascii_isalnum(byte))
        g_string_append_c(out, (char)byte);
    else if (byte == ' ')
        g_string_append_c(out, '_');
    else
        g_string_append_printf(out, "=%02X", byte);
}

/* Encoded words of whole characters, folded over lines. */
static char *encode_words(const char *text)
{
    GString *out = g_string_new("=?UTF-8?q?");
    size_t start = out->len;
    for (const char *at = text; *at;) {
        const char *next = g_utf8_next_char(at);
        g_autoptr(GString) character = g_string_new(NULL);
        for (; at < next; at++)
            append_q(character, (unsigned char)*at);
        if (out->len - start + character->len > ENCODED_BYTES) {
            g_string_append(out, "?=\n =?UTF-8?q?");
            start = out->len;
        }
        g_string_append_len(out, character->str, (gssize)character->len);
    }
    g_string_append(out, "?=");
    return g_string_free(out, FALSE);
}

/* The first line with anything in it; *more when something else follows. g_free. */
static char *first_line(const char *text, bool *more)
{
    while (*text == '\n' || *text == '\r' || *text == ' ' || *text == '\t')
        text++;
    size_t length = strcspn(text, "\r\n");
    const char *rest = text + length;
    *more = rest[strspn(rest, " \t\r\n")] != '\0';
    return g_strndup(text, length);
}

/* Visible, single-spaced, not too long; *cut when characters were left out. g_free. */
static char *subject_line(const char *line, bool *cut)
{
    g_autofree char *visible = tb_escape_terminal(line, strlen(line), false);
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned characters = 0;
    for (const char *at = g_strchug(visible); *at; at = g_utf8_next_char(at)) {
        if (*at == ' ' && (at[1] == ' ' || at[1] == '\0'))
            continue;
        if (++characters > SUBJECT_CHARACTERS) {
            *cut = true;
            g_string_append(out, "...");
            break;
        }
        g_string_append_unichar(out, g_utf8_get_char(at));
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* *incomplete when the prompt is more than this. g_free. */
static char *make_subject(const TbPatchHeader *header, bool *incomplete)
{
    const char *text = header->subject ? header->subject : "";
    g_autofree char *line = first_line(text, incomplete);
    g_autofree char *subject = subject_line(line, incomplete);
    return *subject ? g_steal_pointer(&subject)
                    : g_strdup_printf("changes of task %s", header->task_id);
}

static void append_subject(GString *mail, const TbPatchHeader *header, bool *incomplete)
{
    g_autofree char *subject = make_subject(header, incomplete);
    g_autofree char *encoded = is_ascii(subject) ? NULL : encode_words(subject);
    g_string_append_printf(mail, "Subject: [PATCH] %s\n", encoded ? encoded : subject);
}

/* "Name <address>", the name quoted or encoded where it needs it. */
static void append_author(GString *mail, const char *author)
{
    g_autofree char *visible = tb_escape_name(author);
    char *open = strrchr(visible, '<');
    const char *address = open ? open + 1 : "";
    g_autofree char *mailbox = g_strndup(address, strcspn(address, "> "));
    if (open)
        *open = '\0';
    const char *name = g_strstrip(visible);
    g_autofree char *encoded = is_ascii(name) ? NULL : encode_words(name);
    g_autofree char *encoded_mailbox = is_ascii(mailbox) ? NULL : encode_words(mailbox);
    g_autoptr(GString) quoted = g_string_new("\"");
    for (const char *at = name; *at; at++) {
        if (*at == '"' || *at == '\\')
            g_string_append_c(quoted, '\\');
        g_string_append_c(quoted, *at);
    }
    g_string_append_c(quoted, '"');
    bool plain = !strpbrk(name, "()<>@,;:\\\".[]");
    g_string_append_printf(mail, "From: %s <%s>\n",
                           encoded ? encoded
                           : plain ? name
                                   : quoted->str,
                           encoded_mailbox ? encoded_mailbox : mailbox);
}

/* RFC 2822, whatever the locale; `zone` is "+HHMM". */
static void append_date(GString *mail, int64_t seconds, const char *zone)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int east = atoi(zone), offset = (east / 100 * 60 + east % 100) * 60;
    time_t when = (time_t)seconds + offset;
    struct tm tm = {0};
    if (!gmtime_r(&when, &tm))
        gmtime_r(&(time_t){0}, &tm);
    g_string_append_printf(mail, "Date: %s, %d %s %d %02d:%02d:%02d %s\n", days[tm.tm_wday],
                           tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                           tm.tm_sec, zone);
}

/* The whole prompt, each line indented; escaped before it is cut, so that the cut makes no new
 * bytes. */
static void append_prompt(GString *mail, const char *prompt)
{
    g_auto(GStrv) parts = g_strsplit(prompt, "\r\n", -1);
    g_autofree char *text = g_strjoinv("\n", parts);
    g_strstrip(text);
    g_autofree char *visible = tb_escape_terminal(text, strlen(text), true);
    bool cut = strlen(visible) > BODY_BYTES;
    if (cut)
        *g_utf8_find_prev_char(visible, visible + BODY_BYTES) = '\0';
    g_auto(GStrv) lines = g_strsplit(visible, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_strchomp(*line);
        g_string_append_printf(mail, "%s%s\n", **line ? "    " : "", *line);
    }
    g_string_append(mail, cut ? "    [...]\n\n" : "\n");
}

/* Values are ours (ids and digests), but one line each in any case. */
static void append_trailer(GString *mail, const char *key, const char *value)
{
    g_autofree char *visible = tb_escape_name(value ? value : "");
    if (*visible)
        g_string_append_printf(mail, "%s: %s\n", key, visible);
}

static void append_trailers(GString *mail, const TbPatchHeader *header)
{
    append_trailer(mail, "Taskbox-Task", header->task_id);
    append_trailer(mail, "Taskbox-Image", header->image_digest);
    append_trailer(mail, "Taskbox-Base-Tree", header->base_tree);
    append_trailer(mail, "Taskbox-Result-Tree", header->result_tree);
}

static void append_mime(GString *mail)
{
    g_string_append(mail, "MIME-Version: 1.0\n"
                          "Content-Type: text/plain; charset=UTF-8\n"
                          "Content-Transfer-Encoding: 8bit\n\n");
}

char *mail_head(const TbPatchHeader *header, size_t *hash_at)
{
    GString *mail = g_string_new("From 0000000000000000000000000000000000000000 "
                                 "Mon Sep 17 00:00:00 2001\n");
    bool incomplete = false;
    append_author(mail, header->author);
    append_date(mail, header->time, "+0000");
    append_subject(mail, header, &incomplete);
    append_mime(mail);
    if (incomplete)
        append_prompt(mail, header->subject);
    append_trailers(mail, header);
    g_autofree char *room = g_strnfill(MAIL_HASH_DIGITS, '0');
    append_trailer(mail, "Taskbox-Diff-SHA256", room);
    *hash_at = mail->len - 1 - MAIL_HASH_DIGITS;
    g_string_append(mail, "---\n");
    return g_string_free(mail, FALSE);
}

char *tb_patch_message(const TbPatchHeader *header)
{
    bool incomplete = false;
    g_autofree char *subject = make_subject(header, &incomplete);
    GString *message = g_string_new(subject);
    g_string_append(message, "\n\n");
    if (incomplete)
        append_prompt(message, header->subject);
    append_trailers(message, header);
    return g_string_free(message, FALSE);
}

/* The first paragraph in a line, as git makes a subject of it; *rest is what follows. g_free. */
static char *first_paragraph(const char *message, const char **rest)
{
    message += strspn(message, "\n");
    const char *end = strstr(message, "\n\n");
    size_t length = end ? (size_t)(end - message) : strlen(message);
    *rest = message + length;
    char *line = g_strndup(message, length);
    return g_strstrip(g_strdelimit(line, "\n\t", ' '));
}

/* Would git am, or git apply, take it for the end of the message, or for another mail? */
static bool is_end(const char *line)
{
    static const char *const starts[] = {"diff -", "Index: ", "@@ -", "From ", ">From "};
    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++)
        if (g_str_has_prefix(line, starts[i]))
            return true;
    return g_str_has_prefix(line, "---") && (!line[3] || g_ascii_isspace(line[3]));
}

/* The first line of a body may be a header, too. */
static bool is_header(const char *line)
{
    static const char *const names[] = {"From:", "Subject:", "Date:", "[PATCH]"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_ascii_strncasecmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void append_body(GString *mail, const char *body)
{
    g_auto(GStrv) lines = g_strsplit(body, "\n", -1);
    bool first = true;
    for (char **line = lines; *line; line++) {
        if (first && !**line)
            continue;
        bool indent = is_end(*line) || (first && is_header(*line));
        g_string_append_printf(mail, "%s%s\n", indent ? " " : "", *line);
        first = false;
    }
    if (!first)
        g_string_append_c(mail, '\n');
}

char *mail_series_head(const TbSeriesMail *step, unsigned number, unsigned count)
{
    GString *mail = g_string_new(NULL);
    g_string_append_printf(mail, "From %040u Mon Sep 17 00:00:00 2001\n", 0);
    const char *rest = NULL, *end = strrchr(step->author, '>');
    g_autofree char *who = g_strndup(step->author, end ? (size_t)(end - step->author) + 1 : 0);
    char *zone = NULL;
    int64_t seconds = g_ascii_strtoll(end ? end + 1 : "0", &zone, 10);
    append_author(mail, who);
    append_date(mail, seconds, zone && *zone == ' ' ? zone + 1 : "+0000");
    g_autofree char *subject = first_paragraph(step->message, &rest);
    bool plain = is_ascii(subject) && !strstr(subject, "=?");
    g_autofree char *encoded = plain ? NULL : encode_words(subject);
    g_string_append_printf(mail, "Subject: [PATCH %u/%u] %s\n", number, count,
                           !*subject ? "no message"
                           : encoded ? encoded
                                     : subject);
    append_mime(mail);
    append_body(mail, rest);
    g_string_append(mail, "---\n");
    return g_string_free(mail, FALSE);
}
