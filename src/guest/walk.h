/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* openat2 that leaves neither `root` nor its file system and follows no link. Descriptor, or -1. */
int tb_open_in(int root, const char *path, int flags);
