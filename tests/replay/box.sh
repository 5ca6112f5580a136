#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs in the box, in the project: box.sh METHOD COMMIT makes the work tree, which is at COMMIT's
# parent, what COMMIT has.
set -eu

# As somebody who goes to another commit: git replaces the files, and moves HEAD and index.
by_checkout() {
    git -c advice.detachedHead=false checkout -q --force "$1"
}

# As somebody who is sent a patch. What git apply cannot do with converted files, checkout does.
by_patch() {
    git diff-tree -p --binary --full-index -M HEAD "$1" >/tmp/patch
    if [ -s /tmp/patch ]; then
        git apply --whitespace=nowarn /tmp/patch || by_checkout "$1"
    fi
}

# As an editor and a shell do it: files are renamed and written in place, links made, modes changed.
by_hand() {
    git diff-tree -r -z -M HEAD "$1" >/tmp/raw
    perl - "$1" /tmp/raw <<'PERL'
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Path qw(make_path);
my ($commit, $list) = @ARGV;
open(my $in, '<', $list) or die "$list: $!";
local $/ = "\0";
my @changes;
while (my $meta = <$in>) {
    chomp $meta;
    my ($old, $new, $from, $to, $kind) = $meta =~ /^:(\d+) (\d+) (\w+) (\w+) (\w)/ or die "'$meta'";
    chomp(my $path = <$in>);
    my $source = $path;
    if ($kind =~ /[RC]/) { chomp($path = <$in>) }
    push @changes, [$old, $new, $kind, $source, $path];
}
# Attributes first: they say how the other files' bytes come out.
@changes = sort { ($b->[4] =~ /\.gitattributes$/) <=> ($a->[4] =~ /\.gitattributes$/) } @changes;
sub gone { my ($path) = @_; unlink $path or rmdir $path }
sub upwards {
    for (my $dir = dirname($_[0]); $dir ne '.'; $dir = dirname($dir)) { rmdir $dir or last }
}
# Sources step aside first: one file's new name may be another's old one.
my $count = 0;
for my $change (@changes) {
    my ($old, $new, $kind, $source) = @$change;
    next if $kind ne 'R' && $kind ne 'D';
    if ($kind eq 'R') { rename $source, ".replay-" . $count++ or die "$source: $!" }
    else { gone($source) }
    upwards($source);
}
$count = 0;
for my $change (@changes) {
    my ($old, $new, $kind, $source, $path) = @$change;
    next if $kind eq 'D';
    make_path(dirname($path));
    rename ".replay-" . $count++, $path or die "$path: $!" if $kind eq 'R';
    if ($new eq '160000') { gone($path); mkdir $path; next }
    gone($path) if $new eq '120000' || (lstat($path) && !-f _) || -l $path;
    my @show = $new eq '120000' ? ('cat-file', 'blob') : ('cat-file', '--filters');
    open(my $git, '-|', 'git', @show, "$commit:$path") or die "git: $!";
    binmode $git;
    my $bytes = do { local $/; <$git> } // '';
    close $git or die "$path: git cat-file failed";
    if ($new eq '120000') { symlink $bytes, $path or die "$path: $!"; next }
    open(my $out, '>', $path) or die "$path: $!";
    binmode $out;
    print $out $bytes;
    close $out or die "$path: $!";
    chmod(((stat $path)[2] & 0666) | ($new eq '100755' ? 0111 : 0), $path) or die "$path: $!";
}
PERL
}

"by_$1" "$2"
