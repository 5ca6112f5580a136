/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ids. A million of them, so that two tasks of one user hardly ever meet (the store tries again
 * when they do), and short words first, so that a prefix of a few letters mostly names one task.
 * They are names of directories and domains, too: nothing but [a-z0-9-].
 */
#include "task/id.h"

#include <glib.h>

static const char *const adjectives[] = {
    "able",  "amber", "bold",  "brave", "brisk", "calm",  "civil", "clear", "cool",
    "crisp", "deft",  "eager", "early", "fair",  "fine",  "firm",  "fleet", "fond",
    "frank", "fresh", "glad",  "grand", "hardy", "keen",  "kind",  "light", "lucky",
    "merry", "mild",  "neat",  "noble", "plain", "prime", "proud", "quick", "quiet",
    "rapid", "rare",  "ready", "sharp", "smart", "snug",  "solid", "sound", "spry",
    "sunny", "sure",  "swift", "tidy",  "tough", "vivid", "warm",  "wise",  "witty",
};
static const char *const animals[] = {
    "adder", "bear",  "bee",   "bison", "crane", "crow",  "deer",  "dove",  "eagle",
    "eel",   "elk",   "finch", "fox",   "frog",  "gecko", "goat",  "goose", "hare",
    "hawk",  "heron", "ibex",  "ibis",  "jay",   "koala", "lark",  "lemur", "lion",
    "lynx",  "mole",  "moose", "mouse", "newt",  "orca",  "otter", "owl",   "panda",
    "pike",  "quail", "raven", "robin", "seal",  "shrew", "sloth", "snail", "stoat",
    "stork", "swan",  "tapir", "tern",  "tiger", "toad",  "trout", "viper", "wolf",
};
/* No look-alikes: 0/o, 1/l/i. */
static const char letters[] = "abcdefghjkmnpqrstuvwxyz";
static const char digits[] = "23456789";

static const char *pick(const char *const *words, int count)
{
    return words[g_random_int_range(0, count)];
}

char *tb_id_new(void)
{
    return g_strdup_printf("%s-%s-%c%c", pick(adjectives, (int)G_N_ELEMENTS(adjectives)),
                           pick(animals, (int)G_N_ELEMENTS(animals)),
                           letters[g_random_int_range(0, (int)sizeof letters - 1)],
                           digits[g_random_int_range(0, (int)sizeof digits - 1)]);
}

bool tb_id_is_prefix(const char *text)
{
    if (!g_ascii_islower(*text) && !g_ascii_isdigit(*text))
        return false;
    for (; *text; text++)
        if (!g_ascii_islower(*text) && !g_ascii_isdigit(*text) && *text != '-')
            return false;
    return true;
}
