/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table. A row here, a function in a file of its own, a section in docs/cli.md. */
#include "cli/command.h"

#define END_OPTIONS                                                                                \
    {                                                                                              \
        '\0', NULL, NULL, NULL                                                                     \
    }
#define FORMS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define OPTIONS(...)                                                                               \
    (const TbOption[])                                                                             \
    {                                                                                              \
        __VA_ARGS__, END_OPTIONS                                                                   \
    }

#define JSON_OPTION                                                                                \
    {                                                                                              \
        '\0', "json", NULL, "print one JSON object"                                                \
    }

/* What a box is: of run and template build. */
#define SHAPE_OPTIONS                                                                              \
    {'\0', "image", "NAME", "golden image (default: 'image' of the settings, else debian)"},       \
        {'\0', "cpus", "N", "virtual processors"},                                                 \
        {'\0', "memory", "SIZE", "memory of the box, like 2G"},                                    \
        {'\0', "disk", "SIZE", "disk of the box, like 20G"},                                       \
    {                                                                                              \
        '\0', "mount", "image|virtiofs|9p|auto", "how the project gets in; docs/recipes.md"        \
    }

/* What a box is, sees and may do: of run and shell. */
#define BOX_OPTIONS                                                                                \
    {'C', "directory", "DIR", "the project is found from here (default: the current directory)"},  \
        SHAPE_OPTIONS, {'\0', "cold", NULL, "boot the box instead of forking it from a template"}, \
        {'\0', "require-kvm", NULL,                                                                \
         "refuse to run by emulation, which is no boundary of its own"},                           \
        {'\0', "timeout", "DURATION",                                                              \
         "stop the command after this time, like 30m; its changes are kept"},                      \
        {'\0', "limit", "NAME=VALUE", "like requests=100; docs/limits.md has the names"},          \
        {'\0', "keep", "never|failed|always",                                                      \
         "keep the box's directory (disk, console log) afterwards"},                               \
        {'\0', "exclude", "GLOB",                                                                  \
         "the box sees an empty file or directory there (docs/masks.md)"},                         \
        {'\0', "include", "GLOB", "lets in what only the mask list holds back"},                   \
        {'\0', "history", "full|none|N", "how many commits of the project go into the box"},       \
        {'\0', "net", "none|agent|open",                                                           \
         "what the box may reach (default: none; with a prompt: agent)"},                          \
        {'\0', "allow-host", "HOST[:PORT]",                                                        \
         "and this host, *.DOMAIN, or a group: apt|npm|pip|go|cargo; repeatable"},                 \
        {'\0', "secret", "NAME@HOST,...",                                                          \
         "a key for these hosts, which the box may use and never has; repeatable"},                \
    {                                                                                              \
        '\0', "timings", NULL, "print how long each phase took"                                    \
    }

/* How a command or an agent runs: of run and retry. */
#define RUN_OPTIONS                                                                                \
    {'\0', "verify", "COMMAND", "then try the patch by it, in a fresh box without network"},       \
        {'\0', "no-verify", NULL, "not even by the command that the settings name"},               \
        {'t', "tty", NULL, "give the command a terminal: yours, where there is one"},              \
        {'d', "detach", NULL, "print the task's id once its box runs, and leave it running"},      \
    {                                                                                              \
        '\0', "json", NULL,                                                                        \
            "print one JSON object at the end; the command's output goes to stderr"                \
    }

static const TbOption run_options[] = {
    BOX_OPTIONS,
    {'\0', "agent", "NAME,...",
     "the agent that gets the prompt; of several each makes a candidate"},
    {'n', "candidates", "N", "do it N times at once, and show what came of it side by side"},
    RUN_OPTIONS,
    END_OPTIONS,
};

static const TbOption retry_options[] = {
    BOX_OPTIONS,
    {'\0', "prompt", "TEXT", "another prompt"},
    {'\0', "agent", "NAME", "another agent"},
    {'\0', "on-top", NULL, "begin with what the task has left, not with what it began with"},
    RUN_OPTIONS,
    END_OPTIONS,
};

static const TbOption shell_options[] = {
    {'\0', "patch", NULL, "keep what was changed as a patch, without asking"},
    {'\0', "no-patch", NULL, "throw it away, without asking or even looking"},
    BOX_OPTIONS,
    END_OPTIONS,
};

const TbSubcommand tb_subcommands[] = {
    {.name = "run",
     .group = "tasks",
     .summary = "Run a command or an agent in a box of its own; leaves a patch",
     .usage = FORMS("[OPTION...] -- COMMAND [ARGUMENT...]", "[OPTION...] \"PROMPT\""),
     .details =
         "With a command the exit code is the command's, and 125 when taskbox itself failed.\n"
         "Its stdin is ours unless that is a terminal. The project is not touched: see\n"
         "'taskbox diff @last' and 'taskbox apply @last'.",
     .options = run_options,
     .takes_command = true,
     .run = tb_cli_run},
    {.name = "retry",
     .group = "tasks",
     .summary = "Do a task again, from the same base or on top of what it has left",
     .usage = FORMS("[--on-top] [--prompt TEXT] [OPTION...] TASK [-- COMMAND [ARGUMENT...]]"),
     .details =
         "A new task, with the options of the old one and those given here. The project may have\n"
         "moved on: the box has it as it was, and the patch is against that. With --on-top the\n"
         "patch holds what both have done.",
     .options = retry_options,
     .takes_command = true,
     .passes_status = false,
     .run = tb_cli_retry},
    {.name = "shell",
     .group = "tasks",
     .summary = "Try something in a box of its own, by hand; leaves nothing unless you say so",
     .usage = FORMS("[--patch|--no-patch] [OPTION...] [-- COMMAND [ARGUMENT...]]"),
     .details =
         "Your shell, or COMMAND, on a copy of the project, with your terminal. At the end you\n"
         "are asked whether to keep what was changed as a patch; where stdin is no terminal it is\n"
         "thrown away. The exit code is the shell's, and 125 when taskbox itself failed. Enter,\n"
         "~ and . leave it when nothing else does.",
     .options = shell_options,
     .takes_command = true,
     .passes_status = true,
     .run = tb_cli_shell},
    {.name = "attach",
     .group = "tasks",
     .summary = "Watch a task that runs, or take its terminal",
     .usage = FORMS("[--tail N] TASK"),
     .details =
         "Its log and what comes; with 'run --tty' its terminal, which Enter ~ . gives back.\n"
         "Ctrl-C stops watching, not the task. The exit code is the task's.",
     .options = OPTIONS({'\0', "tail", "N", "begin with the last N lines of the log"}),
     .passes_status = true,
     .run = tb_cli_attach},
    {.name = "exec",
     .group = "tasks",
     .summary = "Run another command in the box of a task that runs",
     .usage = FORMS("[-t|-T] TASK [-- COMMAND [ARGUMENT...]]"),
     .details = "Without COMMAND: a shell. The exit code is the command's, and 125 when taskbox\n"
                "itself failed. What it changes is part of the task's patch.",
     .options = OPTIONS({'t', "tty", NULL, "give it a terminal, even where there is none"},
                        {'T', "no-tty", NULL, "give it none, even where there is one"}),
     .takes_command = true,
     .passes_status = true,
     .run = tb_cli_exec},
    {.name = "cp",
     .group = "tasks",
     .summary = "Copy a file or directory out of a task's box, or out of what it has left",
     .usage = FORMS("[--force] [--max SIZE] TASK:PATH DEST"),
     .details =
         "PATH is a path in the box, or one from where the task's command began; when the task\n"
         "has ended the project as it left it is there, and nothing else. DEST is a directory\n"
         "that is there, or the new name. Nothing is replaced without --force.",
     .options = OPTIONS({'f', "force", NULL, "replace a file that is there"},
                        {'\0', "max", "SIZE", "the most it may be (default: 8G)"}),
     .run = tb_cli_cp},
    {.name = "wait",
     .group = "tasks",
     .summary = "Wait until tasks have ended",
     .usage = FORMS("TASK..."),
     .details = "The exit code is the task's; of several the first that is not 0.",
     .passes_status = true,
     .run = tb_cli_wait},
    {.name = "stop",
     .group = "tasks",
     .summary = "Ask a task to stop; what it has changed becomes its patch",
     .usage = FORMS("[--now] TASK..."),
     .details = "As Ctrl-C where it runs: the command gets SIGINT, and a second time it is ended.",
     .options = OPTIONS({'\0', "now", NULL, "end the command at once"}),
     .run = tb_cli_stop},
    {.name = "ls",
     .group = "tasks",
     .summary = "List tasks, newest first",
     .usage = FORMS("[--json]"),
     .options = OPTIONS({'\0', "json", NULL, "print a JSON array of all records"}),
     .run = tb_cli_ls},
    {.name = "show",
     .group = "tasks",
     .summary = "Show all that is known of a task",
     .usage = FORMS("[--json] TASK"),
     .details = "TASK is an id, the beginning of one, or @last, here and below.",
     .options = OPTIONS(JSON_OPTION),
     .run = tb_cli_show},
    {.name = "logs",
     .group = "tasks",
     .summary = "Print what a task's command wrote",
     .usage = FORMS("[-f|--net|--verify|--raw] TASK"),
     .options = OPTIONS({'f', "follow", NULL, "go on until the task ends"},
                        {'\0', "net", NULL, "what it asked of the network instead"},
                        {'\0', "verify", NULL, "what the command that tried its patch wrote"},
                        {'\0', "raw", NULL, "an agent's own output, where it is not the log"}),
     .run = tb_cli_logs},
    {.name = "diff",
     .group = "review",
     .summary = "Print a task's patch",
     .usage = FORMS("[--stat|--name-only] TASK [PATH...]", "--log [-p] TASK"),
     .details =
         "On a terminal what could drive it is written out; elsewhere the patch comes byte for\n"
         "byte, for 'git apply' and 'git am'. With PATHs (from the project's root) only these "
         "files\n"
         "and what lies below these directories.",
     .options = OPTIONS({'\0', "stat", NULL, "a line a file with its changed lines"},
                        {'\0', "name-only", NULL, "only the names of changed files"},
                        {'\0', "log", NULL, "the commits that were made in the box"},
                        {'p', "patch", NULL, "with --log: and the diff of each"}),
     .run = tb_cli_diff},
    {.name = "inspect",
     .group = "review",
     .summary = "Show what matters in a task's patch: findings first, then files and outcome",
     .usage = FORMS("[--json] TASK"),
     .details = "What the findings mean: docs/findings.md.",
     .options = OPTIONS(JSON_OPTION),
     .run = tb_cli_inspect},
    {.name = "review",
     .group = "review",
     .summary = "Go through a patch hunk by hunk, and apply what was accepted",
     .usage = FORMS("[TASK]", "--html FILE [TASK]"),
     .options = OPTIONS({'\0', "html", "FILE", "write one self-contained HTML page instead"}),
     .details = "Findings first, then one change after the other, with the keys of 'git add -p'\n"
                "(? lists them). Without TASK: the newest.",
     .run = tb_cli_review},
    {.name = "compare",
     .group = "review",
     .summary = "Show two or more tasks side by side: outcome, size, findings, files",
     .usage = FORMS("TASK TASK..."),
     .run = tb_cli_compare},
    {.name = "apply",
     .group = "review",
     .summary = "Put a task's patch on the project, all of it or nothing",
     .usage = FORMS("[--check] [--3way] [--acknowledge RULE]... TASK [--files PATH...]",
                    "--index|--commit|--branch NAME [OPTION...] TASK [--files PATH...]"),
     .details =
         "Every file of the patch must be as it was when the task began, else nothing is\n"
         "written, the files that differ are named, and the exit code is 11. With --3way git\n"
         "merges instead; files with conflict markers are named, and the exit code is 13. With\n"
         "findings of severity high (taskbox inspect) it is 8 until each of their rules is named.\n"
         "No hook and no filter runs; other staged changes stay staged and are not committed.",
     .options = OPTIONS({'\0', "check", NULL, "only say whether it would apply"},
                        {'\0', "3way", NULL, "merge where the project has moved on"},
                        {'\0', "files", NULL, "only the paths that follow the task"},
                        {'\0', "index", NULL, "put it into git's index, too"},
                        {'\0', "commit", NULL, "and commit it, on the branch checked out"},
                        {'\0', "branch", "NAME",
                         "commit it on a new branch instead; files and index stay as they are"},
                        {'\0', "acknowledge", "RULE",
                         "apply although this rule has found something; 'all': any rule"}),
     .run = tb_cli_apply},
    {.name = "patch",
     .group = "review",
     .summary = "Print a task's patch file, or write it to a file",
     .usage = FORMS("[--series] [-o FILE] TASK"),
     .details = "Byte for byte, but for a terminal, as with 'taskbox diff'. --series gives the\n"
                "commits that were made in the box instead, as an mbox for 'git am': all of them\n"
                "make what the patch makes.",
     .options = OPTIONS({'\0', "series", NULL, "a mail for each commit, and one for the rest"},
                        {'o', "output", "FILE", "write it to FILE ('-': stdout)"}),
     .run = tb_cli_patch},
    {.name = "patch verify",
     .group = "review",
     .summary = "Check that a patch file is what it says",
     .usage = FORMS("[-C DIR] FILE"),
     .details =
         "Its diff must have the hash that its head names, and turn the base tree into the result\n"
         "tree. The base is looked for in the repository of DIR; where it is not, the files as\n"
         "they are must be the base. Exit code 12: the patch is not what it says.",
     .options =
         OPTIONS({'C', "directory", "DIR", "where the base is (default: the current directory)"}),
     .no_store = true,
     .run = tb_cli_patch_verify},
    {.name = "undo",
     .group = "review",
     .summary = "Take an apply back, all of it or nothing",
     .usage = FORMS("TASK"),
     .details =
         "Every file must be as the apply left it, else nothing is written, the files that\n"
         "differ are named, and the exit code is 11. A commit or branch that it made is taken\n"
         "back, too, as long as nothing has come on top.",
     .run = tb_cli_undo},
    {.name = "discard",
     .group = "review",
     .summary = "Say that a task's patch is not wanted",
     .usage = FORMS("TASK..."),
     .details = "Its record, log and patch stay until 'taskbox gc --apply'.",
     .run = tb_cli_discard},
    {.name = "init",
     .group = "images",
     .summary = "Look at the project and propose its settings and an image",
     .usage = FORMS("[-C DIR] [--yes]"),
     .details =
         "Prints a .taskbox.yaml and, where no shipped image will do, a recipe; writes them\n"
         "after a yes. What is there already is shown as it would change.",
     .options = OPTIONS({'C', "directory", "DIR", "the project is found from here"},
                        {'\0', "yes", NULL, "write without asking"}),
     .no_store = true,
     .run = tb_cli_init},
    {.name = "image build",
     .group = "images",
     .summary = "Build a golden image from a recipe",
     .usage = FORMS("[--check] [RECIPE]"),
     .details =
         "RECIPE is a name (debian, the default, or another in the shipped recipes or yours) or\n"
         "the path of a YAML file. The same recipe is not built twice.",
     .options = OPTIONS({'\0', "check", NULL, "say what would be done, and do nothing"}),
     .run = tb_cli_image_build},
    {.name = "image ls",
     .group = "images",
     .summary = "List golden images",
     .usage = FORMS(""),
     .run = tb_cli_image_ls},
    {.name = "image show",
     .group = "images",
     .summary = "Print an image's manifest (JSON)",
     .usage = FORMS("IMAGE"),
     .run = tb_cli_image_show},
    {.name = "image verify",
     .group = "images",
     .summary = "Check every byte of an image against its manifest",
     .usage = FORMS("IMAGE"),
     .run = tb_cli_image_verify},
    {.name = "image rm",
     .group = "images",
     .summary = "Remove an image",
     .usage = FORMS("IMAGE"),
     .run = tb_cli_image_rm},
    {.name = "image export",
     .group = "images",
     .summary = "Write an image to a file, to give to others",
     .usage = FORMS("[-o FILE] IMAGE"),
     .details =
         "The file is a compressed archive of all the image is; a layer travels with what it\n"
         "lies on.",
     .options = OPTIONS({'o', "output", "FILE", "the file (default: NAME-image.tar.zst, here)"}),
     .run = tb_cli_image_export},
    {.name = "image import",
     .group = "images",
     .summary = "Take an image out of an exported file",
     .usage = FORMS("[--name NAME] FILE"),
     .details = "The file is checked to be whole. From whom it is, you must know.",
     .options = OPTIONS({'\0', "name", "NAME", "what to call it (default: as the file does)"}),
     .run = tb_cli_image_import},
    {.name = "template build",
     .group = "images",
     .summary = "Boot an image once and freeze it, so that boxes can be forked from it",
     .usage = FORMS("[OPTION...]"),
     .details = "The first task of a shape (image, cpus, memory, disk, mount) makes its template "
                "by itself;\n"
                "this makes it beforehand.",
     .options = OPTIONS(SHAPE_OPTIONS),
     .run = tb_cli_template_build},
    {.name = "template ls",
     .group = "images",
     .summary = "List templates",
     .usage = FORMS(""),
     .run = tb_cli_template_ls},
    {.name = "template show",
     .group = "images",
     .summary = "Print what a template was made of (JSON)",
     .usage = FORMS("TEMPLATE"),
     .details =
         "TEMPLATE is the beginning of a key, or an image that has only one, here and below.",
     .run = tb_cli_template_show},
    {.name = "template rm",
     .group = "images",
     .summary = "Remove a template; boxes that were forked from it go on",
     .usage = FORMS("TEMPLATE"),
     .run = tb_cli_template_rm},
    {.name = "gc",
     .group = "housekeeping",
     .summary = "Find, and with --apply remove, what is no longer needed",
     .usage = FORMS("[--apply] [--older-than DURATION]"),
     .details =
         "Discarded tasks, failed and applied ones that are old, boxes kept on purpose that are\n"
         "old, unused project images, templates that nothing can be forked from, leftovers of\n"
         "builds. A patch that waits for review stays.",
     .options = OPTIONS({'\0', "apply", NULL, "remove it (default: only say what)"},
                        {'\0', "older-than", "DURATION", "what counts as old (default: 14d)"}),
     .run = tb_cli_gc},
    {.name = "doctor",
     .group = "housekeeping",
     .summary = "Check all that a run needs, and say what to do",
     .usage = FORMS("[--json]"),
     .options = OPTIONS(JSON_OPTION),
     .no_store = true,
     .run = tb_cli_doctor},
    {.name = "config show",
     .group = "housekeeping",
     .summary = "List all settings: what holds here, and who says so",
     .usage = FORMS("[-C DIR] [--json]"),
     .options = OPTIONS({'C', "directory", "DIR", "the project is found from here"},
                        {'\0', "json", NULL, "print a JSON array"}),
     .no_store = true,
     .run = tb_cli_config_show},
    {.name = "config explain",
     .group = "housekeeping",
     .summary = "Say of one setting what holds, by which rule, and what each layer says",
     .usage = FORMS("[-C DIR] KEY"),
     .options = OPTIONS({'C', "directory", "DIR", "the project is found from here"}),
     .no_store = true,
     .run = tb_cli_config_explain},
    {.name = "policy explain",
     .group = "housekeeping",
     .summary = "Say what a run here could reach and see, and which setting says so",
     .usage = FORMS("[-C DIR] [--agent NAME]"),
     .options = OPTIONS({'C', "directory", "DIR", "the project is found from here"},
                        {'\0', "agent", "NAME", "the agent that would run"}),
     .no_store = true,
     .run = tb_cli_policy_explain},
    {.name = "redteam",
     .group = "housekeeping",
     .summary = "Attack this installation in real boxes; exit 0 only if all promises held",
     .usage = FORMS("[--list] [--cold] [CASE...]"),
     .details =
         "Each case is a hostile box, project or patch. Nothing of yours is touched: the cases\n"
         "have a home and a state of their own and see the golden image.",
     .options = OPTIONS({'\0', "list", NULL, "say what the cases are"},
                        {'\0', "cold", NULL, "boot the boxes instead of forking them"}),
     .no_store = true,
     .run = tb_cli_redteam},
    {.name = "completion",
     .group = "housekeeping",
     .summary = "Print the script that completes command lines in bash, zsh or fish",
     .usage = FORMS("SHELL"),
     .details = "SHELL is bash, zsh or fish; the script's first line says where it goes.",
     .takes_command = true,
     .no_store = true,
     .run = tb_cli_completion},
    {.name = "help",
     .group = "housekeeping",
     .summary = "Print an overview, or help on one command",
     .usage = FORMS("[--man] [COMMAND]"),
     .options = OPTIONS({'\0', "man", NULL, "print the manual page's source, man(7)"}),
     .no_store = true,
     .run = tb_cli_help},
    {.name = "version",
     .group = "housekeeping",
     .summary = "Print the version",
     .usage = FORMS(""),
     .no_store = true,
     .run = tb_cli_version},
    {.name = NULL},
};
