/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A name that is in one of the tables says what it says; the first of a language counts. What is
 * given back besides such names (commands, packages) is ours: nothing that the project says becomes
 * part of a command.
 */
#include "project/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define ENTRIES_MAX 4096 /* of one directory; more of them say nothing new */
#define FOLDERS_MAX 64
#define READ_LIMIT  (256 * 1024)

#define PACKAGES(...)                                                                              \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* The first of a language that is there counts, so the surer ones come first. `holds`: only when a
 * line of the file begins so; `with`: only when there is a file like this beside it. */
static const struct {
    const char *pattern, *language, *holds, *with, *test;
    const char *const *packages;
} marks[] = {
    {"global.json", "dotnet", NULL, NULL, "dotnet test", NULL},
    {"*.sln", "dotnet", NULL, NULL, "dotnet test", NULL},
    {"*.csproj", "dotnet", NULL, NULL, "dotnet test", NULL},
    {"*.fsproj", "dotnet", NULL, NULL, "dotnet test", NULL},
    {"Cargo.toml", "rust", NULL, NULL, "cargo test",
     PACKAGES("cargo", "rustc", "gcc", "libc6-dev", "pkg-config")},
    {"go.mod", "go", NULL, NULL, "go test ./...", PACKAGES("golang-go", "gcc", "libc6-dev")},
    {"pyproject.toml", "python", NULL, "test*", "python -m pytest", NULL},
    {"tox.ini", "python", NULL, NULL, "python -m pytest", NULL},
    {"setup.cfg", "python", NULL, "test*", "python -m pytest", NULL},
    {"setup.py", "python", NULL, "test*", "python -m pytest", NULL},
    {"requirements.txt", "python", NULL, "test*", "python -m pytest", NULL},
    {"pyproject.toml", "python", NULL, NULL, NULL, NULL},
    {"setup.py", "python", NULL, NULL, NULL, NULL},
    {"requirements.txt", "python", NULL, NULL, NULL, NULL},
    {"test_*.py", "python", NULL, NULL, "python -m pytest", NULL},
    {"*.py", "python", NULL, "test*", "python -m pytest", NULL},
    {"meson.build", "c", NULL, NULL, "meson setup build && meson test -C build",
     PACKAGES("gcc", "g++", "libc6-dev", "meson", "ninja-build", "pkg-config")},
    {"CMakeLists.txt", "c", NULL, NULL,
     "cmake -B build && cmake --build build && ctest --test-dir build", NULL},
    {"configure.ac", "c", NULL, NULL, "autoreconf -i && ./configure && make check", NULL},
    {"configure", "c", NULL, NULL, "./configure && make check", NULL},
    {"Makefile", "c", "check:", "*.[ch]", "make check", NULL},
    {"Makefile", "c", "test:", "*.[ch]", "make test", NULL},
    {"Makefile", "c", "check:", "src", "make check", NULL},
    {"Makefile", "c", "test:", "src", "make test", NULL},
    {"*.c", "c", NULL, NULL, NULL, NULL},
    {"*.cc", "c", NULL, NULL, NULL, NULL},
    {"*.cpp", "c", NULL, NULL, NULL, NULL},
    {"package.json", "node", NULL, NULL, "npm test", PACKAGES("nodejs", "npm")},
    {"pom.xml", "java", NULL, NULL, "mvn test", PACKAGES("default-jdk-headless", "maven")},
    {"build.gradle*", "java", NULL, NULL, "./gradlew test", PACKAGES("default-jdk-headless")},
    {"Gemfile", "ruby", NULL, NULL, "bundle exec rake test",
     PACKAGES("ruby-dev", "bundler", "gcc", "libc6-dev", "make")},
    {"composer.json", "php", NULL, NULL, "composer test", PACKAGES("php-cli", "composer")},
};

static const struct {
    const char *name;
    const char *const *packages;
} toolchains[] = {
    {"c", PACKAGES("gcc", "g++", "libc6-dev", "make", "cmake", "pkg-config", "autoconf", "automake",
                   "libtool")},
    {"python",
     PACKAGES("python3", "python3-venv", "python3-pip", "python3-pytest", "python-is-python3")},
    {"dotnet", PACKAGES("libicu72", "libssl3")},
};

static const struct {
    const char *file, *agent;
} traces[] = {
    {"CLAUDE.md", "claude"},   {".claude", "claude"},          {".codex", "codex"},
    {"GEMINI.md", "gemini"},   {".gemini", "gemini"},          {"opencode.json", "opencode"},
    {".opencode", "opencode"}, {"opencode.jsonc", "opencode"}, {"AGENTS.md", "codex"},
};

static void language_free(void *data)
{
    TbLanguage *language = data;
    g_free(language->because);
    g_free(language);
}

static void trace_free(void *data)
{
    TbAgentTrace *trace = data;
    g_free(trace->because);
    g_free(trace);
}

void tb_survey_free(TbSurvey *survey)
{
    if (!survey)
        return;
    g_ptr_array_unref(survey->languages);
    g_ptr_array_unref(survey->agents);
    g_free(survey);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a directory, sorted; NULL when it cannot be read. */
static GPtrArray *names_in(int dirfd)
{
    tb_autofd fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return NULL;
    (void)tb_steal_fd(&fd);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (struct dirent *entry; names->len < ENTRIES_MAX && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    closedir(dir);
    g_ptr_array_sort(names, compare_names);
    return names;
}

static const char *find(const GPtrArray *names, const char *pattern)
{
    for (guint i = 0; i < names->len; i++)
        if (fnmatch(pattern, names->pdata[i], FNM_PERIOD) == 0)
            return names->pdata[i];
    return NULL;
}

static bool is_regular(int dirfd, const char *name)
{
    struct stat st;
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static bool has_line(int dirfd, const char *name, const char *start)
{
    g_autoptr(GBytes) data = tb_read_file_at(dirfd, name, READ_LIMIT, NULL);
    const char *text = data ? g_bytes_get_data(data, NULL) : NULL;
    for (; text; text = strchr(text, '\n'), text = text ? text + 1 : NULL)
        if (g_str_has_prefix(text, start))
            return true;
    return false;
}

static bool is_known(const TbSurvey *survey, const char *language)
{
    for (guint i = 0; i < survey->languages->len; i++)
        if (strcmp(((const TbLanguage *)survey->languages->pdata[i])->name, language) == 0)
            return true;
    return false;
}

static const char *const *packages_of(const char *language, const char *const *own)
{
    static const char *const none[] = {NULL};
    for (size_t i = 0; !own && i < G_N_ELEMENTS(toolchains); i++)
        if (strcmp(toolchains[i].name, language) == 0)
            own = toolchains[i].packages;
    return own ? own : none;
}

static void look_for_languages(TbSurvey *survey, int dirfd, const GPtrArray *names,
                               const char *folder)
{
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
        const char *name =
            is_known(survey, marks[i].language) ? NULL : find(names, marks[i].pattern);
        if (!name || !is_regular(dirfd, name) || (marks[i].with && !find(names, marks[i].with)) ||
            (marks[i].holds && !has_line(dirfd, name, marks[i].holds)))
            continue;
        TbLanguage *language = g_new0(TbLanguage, 1);
        language->name = marks[i].language;
        language->packages = packages_of(marks[i].language, marks[i].packages);
        language->test = folder ? NULL : marks[i].test;
        language->because = folder ? g_build_filename(folder, name, NULL) : g_strdup(name);
        g_ptr_array_add(survey->languages, language);
    }
}

static void look_for_agents(TbSurvey *survey, const GPtrArray *names)
{
    for (size_t i = 0; i < G_N_ELEMENTS(traces); i++) {
        bool known = false;
        for (guint k = 0; k < survey->agents->len; k++)
            known = known || strcmp(((const TbAgentTrace *)survey->agents->pdata[k])->name,
                                    traces[i].agent) == 0;
        if (known || !find(names, traces[i].file))
            continue;
        TbAgentTrace *trace = g_new0(TbAgentTrace, 1);
        trace->name = traces[i].agent;
        trace->because = g_strdup(traces[i].file);
        g_ptr_array_add(survey->agents, trace);
    }
}

/* Not what somebody else wrote, or what was built. */
static bool is_own_folder(const char *name)
{
    static const char *const others[] = {"node_modules", "vendor",      "target",      "build",
                                         "dist",         "third_party", "subprojects", "deps",
                                         "obj",          "bin",         NULL};
    return name[0] != '.' && !g_strv_contains(others, name);
}

TbSurvey *tb_survey_new(const char *root, GError **error)
{
    g_autoptr(TbSurvey) survey = g_new0(TbSurvey, 1);
    survey->languages = g_ptr_array_new_with_free_func(language_free);
    survey->agents = g_ptr_array_new_with_free_func(trace_free);
    tb_autofd dirfd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    g_autoptr(GPtrArray) names = dirfd < 0 ? NULL : names_in(dirfd);
    if (!names) {
        tb_error_set_errno(error, errno, "cannot read '%s'", root);
        return NULL;
    }
    look_for_languages(survey, dirfd, names, NULL);
    look_for_agents(survey, names);
    unsigned folders = 0;
    for (guint i = 0; i < names->len && folders < FOLDERS_MAX; i++) {
        const char *name = names->pdata[i];
        tb_autofd fd =
            is_own_folder(name) ? tb_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0) : -1;
        g_autoptr(GPtrArray) below = fd < 0 ? NULL : names_in(fd);
        folders += below != NULL;
        if (below)
            look_for_languages(survey, fd, below, name);
    }
    return g_steal_pointer(&survey);
}
