/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The special ranges of the IANA registries (RFC 6890 and its successors), as bytes and a number of
 * leading bits. What stands for another address (mapped, NAT64, 6to4, Teredo) is refused as a
 * whole: no public server is only reached so, and where such an address goes is somebody else's
 * word.
 */
#include "net/address.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

typedef struct {
    uint8_t bytes[16];
    unsigned bits;
    const char *what;
} Range;

static const Range ranges4[] = {
    {{0}, 8, "this network"},
    {{10}, 8, "private"},
    {{100, 64}, 10, "shared (CGNAT)"},
    {{127}, 8, "loopback"},
    {{169, 254}, 16, "link-local (metadata)"},
    {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "reserved"},
    {{192, 0, 2}, 24, "documentation"},
    {{192, 31, 196}, 24, "reserved (AS112)"},
    {{192, 52, 193}, 24, "reserved (AMT)"},
    {{192, 88, 99}, 24, "6to4 relay"},
    {{192, 168}, 16, "private"},
    {{192, 175, 48}, 24, "reserved (AS112)"},
    {{198, 18}, 15, "benchmarking"},
    {{198, 51, 100}, 24, "documentation"},
    {{203, 0, 113}, 24, "documentation"},
    {{224}, 4, "multicast"},
    {{240}, 4, "reserved"}, /* broadcast, too */
    /* A cloud's metadata service outside of the ranges above. */
    {{168, 63, 129, 16}, 32, "metadata"},
};

/* Global unicast is 2000::/3; all else is refused by that alone. */
static const Range ranges6[] = {
    {{0x20, 0x01}, 23, "reserved (Teredo and others)"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
    {{0x20, 0x02}, 16, "6to4"},
    {{0x26, 0x20, 0x00, 0x4f, 0x80}, 48, "reserved (AS112)"},
    {{0x3f, 0xff}, 20, "documentation"},
};

/* Of what is not global unicast: names for the message. */
static const Range names6[] = {
    {{0}, 128, "this network"},
    {{[15] = 1}, 128, "loopback"},
    {{[10] = 0xff, [11] = 0xff}, 96, "an IPv4 address in IPv6"},
    {{0}, 96, "an IPv4 address in IPv6"},
    {{0x00, 0x64, 0xff, 0x9b}, 32, "NAT64"},
    {{0xfc}, 7, "private (ULA)"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "site-local"},
    {{0xff}, 8, "multicast"},
};

static bool starts_with(const uint8_t *bytes, const Range *range)
{
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    if (memcmp(bytes, range->bytes, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] ^ range->bytes[whole]) >> (8 - rest) == 0;
}

static const char *find(const uint8_t *bytes, const Range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (starts_with(bytes, &ranges[i]))
            return ranges[i].what;
    return NULL;
}

const char *tb_address_refused(GInetAddress *address)
{
    const uint8_t *bytes = g_inet_address_to_bytes(address);
    if (g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV4)
        return find(bytes, ranges4, G_N_ELEMENTS(ranges4));
    if (g_inet_address_get_family(address) != G_SOCKET_FAMILY_IPV6)
        return "of no kind that is known";
    if (bytes[0] >> 5 == 1)
        return find(bytes, ranges6, G_N_ELEMENTS(ranges6));
    const char *what = find(bytes, names6, G_N_ELEMENTS(names6));
    return what ? what : "not of the public internet";
}

static bool is_same(const struct sockaddr *own, GInetAddress *address)
{
    const uint8_t *bytes = g_inet_address_to_bytes(address);
    bool is_ipv4 = g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV4;
    if (is_ipv4 && own->sa_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)(const void *)own)->sin_addr, bytes, 4) == 0;
    if (!is_ipv4 && own->sa_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)(const void *)own)->sin6_addr, bytes, 16) == 0;
    return false;
}

const char *tb_address_refused_here(GInetAddress *address)
{
    const char *what = tb_address_refused(address);
    if (what)
        return what;
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0)
        return "not to be told from this machine's own";
    for (const struct ifaddrs *own = list; own && !what; own = own->ifa_next)
        if (own->ifa_addr && is_same(own->ifa_addr, address))
            what = "this machine's own";
    freeifaddrs(list);
    return what;
}
