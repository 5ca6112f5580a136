/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every rule fires on what it is for and keeps still on its benign twin. All cases are one patch,
 * each in a directory of its own, so that no rule sees the others.
 */
#include "../suite.h"
#include "fixture.h"

#include <string.h>
#include <unistd.h>

#include "review/findings.h"
#include "review/rules.h"
#include "util/error.h"

#define LINK 0120000

typedef struct {
    const char *rule;
    bool fires;
    const char *path;
    const char *before, *after; /* NULL: not there */
    int mode;                   /* after; 0: 0644 */
    uint32_t line;              /* where it must be, when not 0 */
    const char *detail;         /* a part of it, when not NULL */
} Case;

#define B40      "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dE3f"
#define BLANKS40 "                                        "

static const Case cases[] = {
    {"symlink-out", true, "l", NULL, "/etc/passwd", LINK, 0, "/etc/passwd"},
    {"symlink-out", true, "l", NULL, "../../../x", LINK, 0, NULL},
    {"symlink-out", true, "a/l", NULL, "b/.GIT/hooks", LINK, 0, NULL},
    {"symlink-out", true, "l", NULL, "a/../../../../x", LINK, 0, NULL},
    {"symlink-out", false, "a/l", NULL, "../../b", LINK, 0, NULL},
    {"symlink-out", false, "l", NULL, "/etc/passwd", 0, 0, NULL},
    {"symlink", true, "l", NULL, "b", LINK, 0, "to 'b'"},
    {"symlink", true, "l", "b", "c\033", LINK, 0, "\\x1B"},
    {"symlink", false, "l", NULL, "b\n", 0, 0, NULL},
    {"executable", true, "x.sh", "a\n", "a\n", 0755, 0, NULL},
    {"executable", true, "x.sh", NULL, "a\n", 0755, 0, "new"},
    {"executable", false, "x.sh", "a\n", "b\n", 0644, 0, NULL},
    {"ci", true, ".github/workflows/build.yml", NULL, "on: push\n", 0, 0, NULL},
    {"ci", true, ".gitlab-ci.yml", "a\n", NULL, 0, 0, "deleted"},
    {"ci", true, "sub/.GitHub/Workflows/x.yml", "a\n", "b\n", 0, 0, NULL},
    {"ci", false, ".github/workflows", NULL, "a file\n", 0, 0, NULL},
    {"ci", false, "github/workflows/x.yml", "a\n", "b\n", 0, 0, NULL},
    {"git-hooks", true, ".husky/pre-commit", NULL, "npm test\n", 0, 0, NULL},
    {"git-hooks", true, "etc/hooks/post-checkout", NULL, "x\n", 0, 0, NULL},
    {"git-hooks", true, ".pre-commit-config.yaml", "a\n", "b\n", 0, 0, NULL},
    {"git-hooks", false, "src/hooks/useState.ts", NULL, "x\n", 0, 0, NULL},
    {"git-hooks", false, ".husky/pre-commit", "npm test\n", NULL, 0, 0, NULL},
    {"git-attributes", true, ".gitattributes", "a\n", "a\n* filter=lfs diff=lfs\n", 0, 2, "filter"},
    {"git-attributes", true, "d/.gitattributes", NULL, "*.c working-tree-encoding=UTF-7\n", 0, 1,
     NULL},
    {"git-attributes", false, ".gitattributes", NULL, "*.sh text eol=lf\n", 0, 0, NULL},
    {"git-attributes", false, ".gitattributes", NULL, "# * filter=x\n", 0, 0, NULL},
    {"git-attributes", false, "notes", NULL, "* filter=lfs\n", 0, 0, NULL},
    {"hidden-diff", true, ".gitattributes", NULL, "*.js linguist-generated\n", 0, 1, NULL},
    {"hidden-diff", true, ".gitattributes", NULL, "*.c -diff\n", 0, 1, NULL},
    {"hidden-diff", false, ".gitattributes", NULL, "*.c diff=cpp\n", 0, 0, NULL},
    {"git-modules", true, ".gitmodules", NULL, "x\n", 0, 0, NULL},
    {"git-modules", true, ".lfsconfig", "a\n", "b\n", 0, 0, NULL},
    {"git-modules", false, "gitmodules", "a\n", "b\n", 0, 0, NULL},
    {"editor", true, ".vscode/tasks.json", NULL, "{}\n", 0, 0, NULL},
    {"editor", true, ".envrc", "a\n", "b\n", 0, 0, NULL},
    {"editor", true, "x.code-workspace", NULL, "{}\n", 0, 0, NULL},
    {"editor", false, ".vscode/tasks.json", "{}\n", NULL, 0, 0, NULL},
    {"editor", false, "vscode/tasks.json", NULL, "{}\n", 0, 0, NULL},
    {"agent-instructions", true, "CLAUDE.md", NULL, "Be kind.\n", 0, 0, NULL},
    {"agent-instructions", true, "d/claude.MD", NULL, "Be kind.\n", 0, 0, NULL},
    {"agent-instructions", true, ".claude/settings.json", "{}\n", "{ }\n", 0, 0, NULL},
    {"agent-instructions", true, ".mcp.json", NULL, "{}\n", 0, 0, NULL},
    {"agent-instructions", false, "docs/claude-usage.md", NULL, "x\n", 0, 0, NULL},
    {"package-config", true, ".npmrc", NULL, "registry=http://x\n", 0, 0, NULL},
    {"package-config", true, ".cargo/config.toml", NULL, "x\n", 0, 0, NULL},
    {"package-config", false, "cargo/config.toml", NULL, "x\n", 0, 0, NULL},
    {"package-script", true, "package.json", "{\n}\n", "{\n\"postinstall\": \"x\"\n}\n", 0, 2,
     "postinstall"},
    {"package-script", false, "package.json", "{\n}\n", "{\n\"test\": \"x\"\n}\n", 0, 0, NULL},
    {"package-script", false, "a.json", "{\n}\n", "{\n\"postinstall\": \"x\"\n}\n", 0, 0, NULL},
    {"bidi", true, "a.c", "x\n", "x\nif (a\xe2\x80\xae) {\n", 0, 2, "U+202E"},
    {"bidi", true, "a.c", NULL, "\xe2\x81\xa6x\n", 0, 1, "U+2066"},
    {"bidi", false, "a.c", "if (a\xe2\x80\xae) {\n", "if (a\xe2\x80\xae) {\nx\n", 0, 0, NULL},
    {"bidi", false, "a.txt", NULL, "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d\n", 0, 0, NULL},
    {"invisible", true, "a.c", NULL, "ad\xe2\x80\x8bmin\n", 0, 1, "U+200B"},
    {"invisible", true, "a.md", NULL, "x\nok\xf3\xa0\x81\xa1\n", 0, 2, "U+E0061"},
    {"invisible", true, "a.c", "x\n", "x\n\xef\xbb\xbfy\n", 0, 2, "U+FEFF"},
    {"invisible", true, "a.c", NULL, "x\xef\xb8\x8f\n", 0, 1, "U+FE0F"},
    {"invisible", false, "a.c", NULL, "\xef\xbb\xbfint x;\n", 0, 0, NULL},
    {"invisible", false, "a.md", NULL, "\xe2\x9d\xa4\xef\xb8\x8f\n", 0, 0, NULL},
    {"invisible", false, "a.md", NULL, "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb\n", 0, 0,
     NULL},
    {"invisible", false, "fa.txt", NULL, "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae\n", 0, 0, NULL},
    {"invisible", false, "a.txt", NULL, "latin1 \xe4\xad\n", 0, 0, NULL},
    {"homoglyph", true, "a.py", NULL, "p\xd0\xb0ssword = 1\n", 0, 1, "U+0430"},
    {"homoglyph", true, "end.py", NULL, "p\xd0\xb0ss", 0, 1, "'p\xd0\xb0ss'"},
    {"homoglyph", true, "a.py", NULL, "x\n\xf0\x9d\x93\xaeval(y)\n", 0, 2, NULL},
    {"homoglyph", true, "a.js", NULL, "is\xce\x9fk()\n", 0, 1, "U+039F"},
    {"homoglyph", false, "ru.txt", NULL, "\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c ok\n", 0,
     0, NULL},
    {"homoglyph", false, "a.c", NULL, "\xce\xbcs \xce\x94x na\xc3\xafve \xc3\xbc\x62\x65r\n", 0, 0,
     NULL},
    {"terminal-escape", true, "a", NULL, "x\n\033[2J\n", 0, 2, "U+001B"},
    {"terminal-escape", true, "a", NULL, "evil\rgood\n", 0, 1, "return"},
    {"terminal-escape", true, "a", NULL, "\xc2\x9b\x32J\n", 0, 1, "U+009B"},
    {"terminal-escape", false, "a", NULL, "crlf\r\n\ttab\r\n\f\n", 0, 0, NULL},
    {"hidden-right", true, "a", NULL, "ok();" BLANKS40 BLANKS40 BLANKS40 BLANKS40 "evil();\n", 0, 1,
     "column 166"},
    {"hidden-right", false, "a", NULL, "ok();" BLANKS40 BLANKS40 "/* fine */\n", 0, 0, NULL},
    {"hidden-right", false, "a", NULL, "ok();" BLANKS40 BLANKS40 BLANKS40 BLANKS40 "\n", 0, 0,
     NULL},
    {"odd-name", true, "a\033[2J", NULL, "x\n", 0, 0, NULL},
    {"odd-name", true,
     "re\xe2\x80\xae"
     "fdp.exe",
     NULL, "x\n", 0, 0, NULL},
    {"odd-name", true, "-rf", NULL, "x\n", 0, 0, "dash"},
    {"odd-name", true, "m\xd0\xb0in.c", NULL, "x\n", 0, 0, "U+0430"},
    {"odd-name", false, "\xc3\xbc b.txt", NULL, "x\n", 0, 0, NULL},
    {"credential", true, "a", NULL, "x\nkey = \"ghp_" B40 "\"\n", 0, 2, "GitHub token: ghp_... ("},
    {"credential", true, "a", NULL, "AKIAQ3EGR7B5WZ2LKD4N\n", 0, 1, "AWS"},
    {"credential", true, "k.pem", NULL, "-----BEGIN RSA PRIVATE KEY-----\n", 0, 1, "private key"},
    {"credential", true, "a", NULL, "sk-ant-api03-" B40 "\n", 0, 1, "Anthropic"},
    {"credential", false, "a", NULL, "AKIAIOSFODNN7EXAMPLE\n", 0, 0, NULL},
    {"credential", false, "a", NULL, "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", 0, 0, NULL},
    {"credential", false, "a", NULL, "-----BEGIN PUBLIC KEY-----\n", 0, 0, NULL},
    {"credential", false, "a", NULL, "task-" B40 B40 "\n", 0, 0, NULL},
    {"test-deleted", true, "tests/test_a.py", "assert 1\n", NULL, 0, 0, NULL},
    {"test-deleted", true, "calc_test.go", "only here\n", NULL, 0, 0, NULL},
    {"test-deleted", false, "src/contest.py", "x1\n", NULL, 0, 0, NULL},
    {"test-weakened", true, "tests/test_b.py", "a\nassert x\nassert y\n", "a\nassert x\n", 0, 2,
     "1 fewer"},
    {"test-weakened", false, "tests/test_c.py", "assert x\n", "assert y\nassert z\n", 0, 0, NULL},
    {"test-weakened", false, "src/d.py", "assert x\n", "pass\n", 0, 0, NULL},
    {"test-skipped", true, "test_d.py", "x\n", "@pytest.mark.skip\nx\n", 0, 1, NULL},
    {"test-skipped", true, "a.js", "x\n", "x\n  xit('works')\n", 0, 2, "xit("},
    {"test-skipped", false, "a.py", "x\n", "sys.exit(1)\n", 0, 0, NULL},
    {"build-script", true, "Makefile", "a\n", "b\n", 0, 0, NULL},
    {"build-script", true, "d/Dockerfile.dev", NULL, "b\n", 0, 0, NULL},
    {"build-script", false, "src/makefile_parser.c", NULL, "b\n", 0, 0, NULL},
    {"dependency", true, "package.json", "{\n\"a\": \"1.0.0\"\n}\n",
     "{\n\"a\": \"1.0.0\",\n\"left-pad\": \"^1.3.0\"\n}\n", 0, 3, "left-pad"},
    {"dependency", true, "requirements.txt", "flask==1\n", "flask==1\nevil>=2\n", 0, 2, "evil"},
    {"dependency", true, "go.mod", "module x\n", "module x\nrequire example.com/y v1.2.3\n", 0, 2,
     "example.com/y"},
    {"dependency", true, "Cargo.toml", "[dependencies]\n", "[dependencies]\nserde = \"1\"\n", 0, 2,
     "serde"},
    {"dependency", true, "pyproject.toml", "[project]\n",
     "[project]\ndependencies = [\n  \"evil>=1\",\n]\n", 0, 3, "evil"},
    {"dependency", true, "Gemfile", "x\n", "x\ngem 'evil', '~> 1'\n", 0, 2, "evil"},
    {"dependency", true, "pom.xml", "<x/>\n", "<artifactId>evil</artifactId>\n", 0, 1, "evil"},
    {"dependency", true, "build.gradle", "x\n", "implementation 'a.b:evil:1'\n", 0, 1, "evil"},
    {"dependency", false, "package.json", "{\n\"version\": \"1.0.0\"\n}\n",
     "{\n\"version\": \"1.0.1\"\n}\n", 0, 0, NULL},
    {"dependency", false, "package.json", "{\n\"a\": \"1.0.0\"\n}\n", "{\n\"a\": \"1.0.1\"\n}\n", 0,
     0, NULL},
    {"dependency", false, "Cargo.toml", "[package]\n", "[package]\nname = \"x\"\n", 0, 0, NULL},
    {"dependency", false, "requirements.txt", "flask==1\n", "flask==2\n# evil\n", 0, 0, NULL},
    {"lock-file", true, "package-lock.json", "a\n", "b\n", 0, 0, NULL},
    {"lock-file", false, "lock-file.md", "a\n", "b\n", 0, 0, NULL},
    {"box-settings", true, ".taskbox.yaml", "net: none\n", "\n", 0, 0, NULL},
    {"box-settings", true, ".taskboxignore", "keys/\n", NULL, 0, 0, "deleted"},
    {"box-settings", false, "docs/taskbox.yaml", "a\n", "b\n", 0, 0, NULL},
    {"ignore-file", true, ".dockerignore", "a\n", "b\n", 0, 0, NULL},
    {"ignore-file", true, "d/.eslintignore", "a\n", NULL, 0, 0, "deleted"},
    {"ignore-file", false, "docs/gitignore.md", "a\n", "b\n", 0, 0, NULL},
    {"long-line", false, "a", NULL, "short\n", 0, 0, NULL},
};

/* Cases whose bytes do not fit the table. */
static const struct {
    const char *rule;
    bool fires;
    const char *path;
    const char *bytes;
    size_t length;
} binaries[] = {
    {"binary", true, "p.png", "\x89PNG\0", 5},
    {"binary", false, "p.txt", "PNG\n", 4},
    {"program", true, "tool",
     "\x7f"
     "ELF\2\0\0",
     7},
    {"program", true, "m.pyc", "\x0d\x0d\0\0x", 5},
    {"program", false, "m.so", "text\n", 5},
    {"program", false, "x.dat", "data\0", 5},
};

static char *place(const char *kind, int index, const char *path)
{
    return g_strdup_printf("%s%d/%s", kind, index, path);
}

static void put(const char *dir, const char *path, const char *text, int mode)
{
    if (mode != LINK) {
        put_file(dir, path, text, -1, mode ? mode : 0644);
        return;
    }
    put_file(dir, path, "", -1, 0644);
    g_autofree char *full = g_build_filename(dir, path, NULL);
    unlink(full);
    ck_assert_int_eq(symlink(text, full), 0);
}

static bool found(const TbFindings *findings, const char *rule, const char *path, uint32_t line,
                  const char *detail)
{
    for (guint i = 0; i < findings->list->len; i++) {
        const TbFinding *finding = findings->list->pdata[i];
        if (strcmp(finding->rule, rule) == 0 && g_strcmp0(finding->path, path) == 0 &&
            (!line || finding->line == line) &&
            (!detail || (finding->detail && strstr(finding->detail, detail))))
            return true;
    }
    return false;
}

static Fixture f;

static void start(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.repository, "info/attributes", PLAIN_ATTRIBUTES);
}

static void stop(void)
{
    fixture_stop(&f);
}

static TbFindings *find(const char *prompt)
{
    g_autofree char *result = tree_of(&f, f.box);
    g_autoptr(GError) error = NULL;
    TbFindings *findings = tb_findings_find(f.git, f.base_tree, result, prompt, &error);
    ck_assert_msg(findings != NULL, "%s", error ? error->message : "");
    return findings;
}

START_TEST(test_cases)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = place("case", (int)i, cases[i].path);
        if (cases[i].before)
            put(f.project, path, cases[i].before, cases[i].mode == LINK ? LINK : 0);
    }
    PUT(f.project, "keep", "x\n");
    fixture_base(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = place("case", (int)i, cases[i].path);
        g_autofree char *full = g_build_filename(f.box, path, NULL);
        unlink(full);
        if (cases[i].after)
            put(f.box, path, cases[i].after, cases[i].mode);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(binaries); i++) {
        g_autofree char *path = place("binary", (int)i, binaries[i].path);
        put_file(f.box, path, binaries[i].bytes, (gssize)binaries[i].length, 0644);
    }
    g_autoptr(TbFindings) findings = find(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = place("case", (int)i, cases[i].path);
        bool is = found(findings, cases[i].rule, path, cases[i].line, cases[i].detail);
        ck_assert_msg(is == cases[i].fires, "%s %s on case %zu, %s", cases[i].rule,
                      is ? "fires" : "does not fire", i, cases[i].path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(binaries); i++) {
        g_autofree char *path = place("binary", (int)i, binaries[i].path);
        ck_assert_msg(found(findings, binaries[i].rule, path, 0, NULL) == binaries[i].fires,
                      "%s on %s", binaries[i].rule, path);
    }
    /* the secret itself is in no finding */
    g_autofree char *text = tb_findings_format(findings);
    ck_assert_ptr_null(strstr(text, B40));
    ck_assert_ptr_null(strstr(text, "Q3EGR7B5WZ2LKD4N"));
}
END_TEST

/* Rules whose cases need more than a file each. */
START_TEST(test_larger)
{
    PUT(f.project, "src/main.c", "x\n");
    PUT(f.project, "other/main.h", "x\n");
    PUT(f.project, "half/HEAD", "x\n");
    PUT(f.project, "half/refs/x", "x\n");
    PUT(f.project, "moved/tests/test_m.py", "assert a\n");
    fixture_base(&f);
    PUT(f.box, "vendor/HEAD", "ref: refs/heads/x\n");
    PUT(f.box, "vendor/objects/info/x", "x\n");
    PUT(f.box, "vendor/refs/x", "x\n");
    PUT(f.box, "half/objects/x", "x\n"); /* the base had the rest */
    PUT(f.box, "benign/objects/x", "x\n");
    PUT(f.box, "benign/HEAD", "x\n");
    PUT(f.box, "src/main.c", "y\n");
    g_free(RUN(f.box, "mv", "moved/tests/test_m.py", "moved/tests/test_n.py"));
    g_autoptr(GString) line = g_string_new("a\n");
    for (int i = 0; i < 1100; i++)
        g_string_append_c(line, 'x');
    PUT(f.box, "long/yes", line->str);
    g_string_truncate(line, 900);
    PUT(f.box, "long/no", line->str);
    g_autofree char *big = g_strnfill(((gsize)8 << 20) + 1, 'x');
    PUT(f.box, "big/yes", big);
    g_autoptr(TbFindings) findings = find("Please fix src/main.c, and the vendor directory.");
    ck_assert(found(findings, "bare-repository", "vendor/", 0, NULL));
    ck_assert(found(findings, "bare-repository", "half/", 0, NULL));
    ck_assert(!found(findings, "bare-repository", "benign/", 0, NULL));
    ck_assert(!found(findings, "test-deleted", "moved/tests/test_m.py", 0, NULL));
    ck_assert(found(findings, "long-line", "long/yes", 2, "1100"));
    ck_assert(!found(findings, "long-line", "long/no", 0, NULL));
    ck_assert(found(findings, "unread", "big/yes", 0, "8.0 MiB"));
    ck_assert(!found(findings, "unread", "long/yes", 0, NULL));
    ck_assert(found(findings, "outside-prompt", "long/yes", 0, NULL));
    ck_assert(!found(findings, "outside-prompt", "src/main.c", 0, NULL));
    g_autoptr(TbFindings) silent = find("Please fix it, e.g. as in example.com/x.");
    ck_assert(!found(silent, "outside-prompt", "long/yes", 0, NULL));
}
END_TEST

START_TEST(test_submodule)
{
    PUT(f.project, "a", "x\n");
    fixture_base(&f);
    g_autofree char *index = g_build_filename(f.dir, "link-index", NULL);
    g_free(RUN("/tmp", "cp", f.base_index, index));
    g_free(GIT(&f, f.box, index, "update-index", "--add", "--cacheinfo",
               "160000,1234567890123456789012345678901234567890,sub"));
    g_autofree char *result = GIT(&f, f.box, index, "write-tree");
    g_autoptr(TbFindings) findings = tb_findings_find(f.git, f.base_tree, result, NULL, NULL);
    ck_assert(found(findings, "submodule", "sub", 0, "added"));
    ck_assert_uint_eq(findings->counts[TB_SEVERITY_HIGH], 1);
    g_autoptr(TbFindings) none = tb_findings_find(f.git, f.base_tree, f.base_tree, NULL, NULL);
    ck_assert_uint_eq(none->list->len, 0);
}
END_TEST

/* A flood of one rule leaves room for the others, is counted, and comes to an end. */
START_TEST(test_flood)
{
    PUT(f.project, "a", "x\n");
    fixture_base(&f);
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 50000; i++)
        g_string_append(text, "\033\n");
    PUT(f.box, "flood", text->str);
    PUT(f.box, "z/CLAUDE.md", "x\n");
    PUT(f.box, "z/quiet", "\033\n");
    g_autoptr(TbFindings) findings = find(NULL);
    ck_assert(found(findings, "terminal-escape", "flood", 1, NULL));
    ck_assert(found(findings, "terminal-escape", "z/quiet", 1, NULL));
    ck_assert(found(findings, "terminal-escape", NULL, 0, "49990 more"));
    ck_assert(found(findings, "agent-instructions", "z/CLAUDE.md", 0, NULL));
    ck_assert_uint_eq(findings->counts[TB_SEVERITY_HIGH], 50002);
    ck_assert_uint_lt(findings->list->len, 20);
}
END_TEST

/* What a token's search would do in quadratic time. */
START_TEST(test_linear)
{
    PUT(f.project, "a", "x\n");
    fixture_base(&f);
    g_autoptr(GString) text = g_string_new(NULL);
    while (text->len < 4 << 20)
        g_string_append(text, "glpat-");
    PUT(f.box, "flood", text->str);
    gint64 begin = g_get_monotonic_time();
    g_autoptr(TbFindings) findings = find(NULL);
    ck_assert_int_lt(g_get_monotonic_time() - begin, 30 * G_USEC_PER_SEC);
    ck_assert(found(findings, "long-line", "flood", 1, NULL));
}
END_TEST

START_TEST(test_json)
{
    PUT(f.project, "a", "x\n");
    fixture_base(&f);
    PUT(f.box, "\xff/CLAUDE.md", "x\033\n");
    PUT(f.box, "Makefile", "x\n");
    g_autoptr(TbFindings) findings = find(NULL);
    g_autofree char *text = tb_findings_format(findings);
    g_autoptr(TbFindings) again = tb_findings_parse(text, strlen(text), NULL);
    ck_assert_ptr_nonnull(again);
    g_autofree char *text_again = tb_findings_format(again);
    ck_assert_str_eq(text, text_again);
    ck_assert(found(again, "agent-instructions", "\xff/CLAUDE.md", 0, NULL));
    g_autofree const char **high = tb_findings_high_rules(again, false);
    ck_assert_str_eq(high[0], "agent-instructions");
    ck_assert_str_eq(high[1], "odd-name");
    ck_assert_str_eq(high[2], "terminal-escape");
    ck_assert_ptr_null(high[3]);
    g_autofree char *count = tb_findings_count_text(again->counts);
    ck_assert_str_eq(count, "3 high, 1 medium");
    static const char *const bad[] = {"", "[]", "{\"version\":2,\"findings\":[]}",
                                      "{\"version\":1,\"findings\":[{\"rule\":1}]}"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        ck_assert_ptr_null(tb_findings_parse(bad[i], strlen(bad[i]), &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_IO);
    }
}
END_TEST

/* What is known from elsewhere than the patch: it counts, stands by its severity and is kept. */
START_TEST(test_added)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbFindings) findings = tb_findings_parse(
        "{\"version\":1,\"findings\":[]}", strlen("{\"version\":1,\"findings\":[]}"), &error);
    ck_assert_ptr_nonnull(findings);
    tb_findings_add(findings, "refused", g_strdup("evil.test:80, 3 times"));
    tb_findings_add(findings, "placeholder", g_strdup("evil.test:443, 1 times"));
    tb_findings_add(findings, "foreign-key", NULL);
    ck_assert_uint_eq(findings->counts[TB_SEVERITY_HIGH], 2);
    ck_assert_uint_eq(findings->counts[TB_SEVERITY_LOW], 1);
    const TbFinding *last = findings->list->pdata[2];
    ck_assert_str_eq(last->rule, "refused");
    ck_assert_str_eq(last->detail, "evil.test:80, 3 times");
    g_autofree const char **high = tb_findings_high_rules(findings, false);
    ck_assert_str_eq(high[0], "foreign-key");
    ck_assert_str_eq(high[1], "placeholder");
    g_autofree char *text = tb_findings_format(findings);
    g_autoptr(TbFindings) again = tb_findings_parse(text, strlen(text), &error);
    ck_assert_uint_eq(again->list->len, 3);
    ck_assert_ptr_null(((TbFinding *)again->list->pdata[0])->path);
}
END_TEST

/* Each rule has a case that fires and one that does not, and its row in docs/findings.md. */
START_TEST(test_complete)
{
    static const char *const larger[] = {"bare-repository", "unread",    "outside-prompt",
                                         "submodule",       "long-line", "placeholder",
                                         "foreign-key",     "refused",   NULL};
    g_autofree char *path = g_build_filename(TB_DOCS, "findings.md", NULL);
    g_autofree char *doc = NULL;
    ck_assert(g_file_get_contents(path, &doc, NULL, NULL));
    for (size_t r = 0; r < tb_rule_count; r++) {
        const TbRule *rule = &tb_rules[r];
        bool yes = g_strv_contains(larger, rule->name), no = yes;
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
            if (strcmp(cases[i].rule, rule->name) == 0)
                *(cases[i].fires ? &yes : &no) = true;
        for (size_t i = 0; i < G_N_ELEMENTS(binaries); i++)
            if (strcmp(binaries[i].rule, rule->name) == 0)
                *(binaries[i].fires ? &yes : &no) = true;
        ck_assert_msg(yes && no, "rule '%s' lacks a case", rule->name);
        g_autofree char *row =
            g_strdup_printf("\n| `%s` | %s | %s | %s |\n", rule->name,
                            tb_severity_name(rule->severity), rule->fires, rule->why);
        ck_assert_msg(strstr(doc, row) != NULL, "docs/findings.md lacks:%s", row);
        /* Named again for the files of commits, and again for their words. */
        g_autofree char *name = g_strdup_printf("`%s`", rule->name);
        unsigned named = 0, wanted = 1 + !!(rule->commits & TB_RULE_STEPS);
        wanted += !!(rule->commits & TB_RULE_WORDS);
        for (const char *at = doc; (at = strstr(at, name)); at++)
            named++;
        ck_assert_msg(named == wanted, "docs/findings.md names '%s' %u times, not %u", rule->name,
                      named, wanted);
    }
    size_t rows = 0;
    for (const char *at = doc; (at = strstr(at, "\n| `")); at++)
        rows++;
    ck_assert_uint_eq(rows, tb_rule_count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("findings");
    TCase *tests = tcase_create("findings");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, test_cases);
    tcase_add_test(tests, test_larger);
    tcase_add_test(tests, test_submodule);
    tcase_add_test(tests, test_added);
    tcase_add_test(tests, test_flood);
    tcase_add_test(tests, test_linear);
    tcase_add_test(tests, test_json);
    tcase_add_test(tests, test_complete);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
