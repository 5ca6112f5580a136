/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An agent's JSON lines as text: by rules, in any pieces, whatever they hold. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "config/settings.h"
#include "run/stream.h"

static const char profile[] =
    "command: [x, '{prompt}']\n"
    "output:\n"
    "  - {when: {type: text}, say: '{part.text}'}\n"
    "  - {when: {type: delta}, part: '{text}'}\n"
    "  - {when: {type: many}, each: items, where: {kind: cmd}, run: '{input.command}'}\n"
    "  - {when: {type: many}, each: items, where: {input.path: '*'}, edit: '{kind} {input.path}'}\n"
    "  - {when: {type: many}, each: items, note: '{kind}'}\n"
    "  - {when: {type: place}, note: '{list.1.name} {list.9.name}{list.x}'}\n"
    "  - {when: {type: end}, tokens_in: '{in}', tokens_out: '{out}', cost: '{cost}'}\n";

static TbAgent *agent;

static void setup(void)
{
    g_autoptr(GError) error = NULL;
    agent = tb_agent_parse("x", "x.yaml", profile, strlen(profile), &error);
    ck_assert_msg(agent != NULL, "%s", error ? error->message : "");
}

static void teardown(void)
{
    tb_agent_free(agent);
}

static char *feed_by(const char *text, size_t length, size_t step, TbUsage *usage)
{
    TbAgentStream *stream = tb_agent_stream_new(agent->output);
    GString *out = g_string_new(NULL);
    for (size_t at = 0; at < length; at += step)
        tb_agent_stream_feed(stream, text + at, MIN(step, length - at), out);
    tb_agent_stream_end(stream, out);
    if (usage)
        *usage = *tb_agent_stream_usage(stream);
    tb_agent_stream_free(stream);
    return g_string_free(out, FALSE);
}

static const struct {
    const char *in, *out;
} cases[] = {
    {"{\"type\":\"text\",\"part\":{\"text\":\"hello\\nyou\\n\"}}\n", "hello\nyou\n"},
    {"{\"type\":\"delta\",\"text\":\"a\"}\n{\"type\":\"delta\",\"text\":\"b\"}\n", "ab\n"},
    {"{\"type\":\"delta\",\"text\":\"a\"}\n{\"type\":\"text\",\"part\":{\"text\":\"b\"}}\n",
     "a\nb\n"},
    {"{\"type\":\"many\",\"items\":[{\"kind\":\"cmd\",\"input\":{\"command\":\"make\\ncheck\"}},"
     "{\"kind\":\"write\",\"input\":{\"path\":\"a b\"}},{\"kind\":\"think\"}]}\n",
     "$ make\n  check\n~ write a b\n- think\n"},
    {"{\"type\":\"place\",\"list\":[{\"name\":1},{\"name\":true}]}\n", "- true\n"},
    {"{\"type\":\"nobody asked\"}\n", ""},
    {"plain words\n", "plain words\n"},
    {"no end", "no end\n"},
    {"{broken\n", "{broken\n"},
    {"{\"type\":\"text\"} trailing\n", "{\"type\":\"text\"} trailing\n"},
    {"[1,2]\n", "[1,2]\n"},
    {"\n", "\n"},
    {"{\"type\":\"text\",\"part\":\"no object\"}\n", ""},
    {"{\"type\":\"text\",\"part\":{\"text\":\"\\u001b[31mred\"}}\n", "\x1b[31mred\n"},
    {"{\"type\":\"text\",\"part\":{\"text\":\"\xff\"}}\n",
     "{\"type\":\"text\",\"part\":{\"text\":\"\xff\"}}\n"},
};

START_TEST(lines)
{
    const char *in = cases[_i].in;
    for (size_t step = 1; step <= strlen(in); step += 3) {
        g_autofree char *out = feed_by(in, strlen(in), step, NULL);
        ck_assert_str_eq(out, cases[_i].out);
    }
}
END_TEST

START_TEST(what_was_used)
{
    static const char text[] = "{\"type\":\"end\",\"in\":10,\"out\":2,\"cost\":0.25}\n"
                               "{\"type\":\"end\",\"in\":5,\"out\":-7,\"cost\":\"nan\"}\n"
                               "{\"type\":\"end\",\"in\":99999999999999999999,\"cost\":1e300}\n";
    TbUsage usage;
    g_autofree char *out = feed_by(text, strlen(text), 7, &usage);
    ck_assert_str_eq(out, "");
    ck_assert_uint_ge(usage.tokens_in, 15);
    ck_assert_uint_eq(usage.tokens_out, 2);
    ck_assert(usage.cost > 0.2499 && usage.cost < 0.2501);
}
END_TEST

/* A parser that goes down by recursion must never see this. */
START_TEST(deep_and_long)
{
    g_autoptr(GString) text = g_string_new("{\"type\":\"text\",\"part\":");
    for (int i = 0; i < 1000000; i++)
        g_string_append_c(text, '[');
    g_string_append_c(text, '\n');
    g_autofree char *out = feed_by(text->str, text->len, 65536, NULL);
    ck_assert_str_eq(out, text->str);
    g_autofree char *much = g_strnfill(20 << 20, 'x');
    much[(20 << 20) - 1] = '\n';
    g_autofree char *kept = feed_by(much, 20 << 20, 1 << 20, NULL);
    ck_assert_str_eq(kept, "[taskbox: a line of 20971519 bytes is left out]\n");
}
END_TEST

START_TEST(bad_rules)
{
    static const char *const bad[] = {
        "command: [x, '{prompt}']\noutput:\n  - {where: {a: b}, say: x}\n",
        "command: [x, '{prompt}']\noutput:\n  - {says: x}\n",
        "command: [x, '{prompt}']\noutput: text\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        ck_assert_ptr_null(tb_agent_parse("x", "x.yaml", bad[i], strlen(bad[i]), &error));
        ck_assert_ptr_nonnull(strstr(error->message, "x.yaml:"));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *tcase = tcase_create("stream");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, lines, 0, (int)G_N_ELEMENTS(cases));
    tcase_add_test(tcase, what_was_used);
    tcase_add_test(tcase, deep_and_long);
    tcase_add_test(tcase, bad_rules);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
