/*
 * attach.c: what vmnet.attach and vmnet.detach ask of the kernel, asked by C: the yardstick of warm.py.
 *
 * The same locks, looks, ioctls and rtnetlink messages in the same batches, and the same second look; none
 * of the thinking: names, addresses and tags come ready on standard input, one call a line, tabs between:
 *
 *   attach VMLOCK BRIDGELOCK NAME BRIDGE OWNER MTU MAC ALTNAME MACNAME BUILDING TAG
 *   detach VMLOCK NAME NEEDLE
 *
 * Each is answered by a line: nanoseconds taken, nanoseconds of them on the CPU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 12, TAP = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, SKIP_STATS = RTEXT_FILTER_SKIP_STATS };

static char out[8192], in[1 << 18];
static size_t used;
static uint32_t sequence;
static struct nlmsghdr *message;

static void die(const char *what) {
    fprintf(stderr, "attach.c: %s: %s\n", what, strerror(errno));
    exit(1);
}

#define MUST(call) must(#call, (call))
static long must(const char *what, long answer) {
    if (answer < 0) die(what);
    return answer;
}

/* ---- messages */

static void begin(int type, int flags, int index) {
    message = (struct nlmsghdr *)(out + used);
    struct ifinfomsg *body = NLMSG_DATA(message);
    memset(message, 0, NLMSG_LENGTH(sizeof *body));
    message->nlmsg_len = NLMSG_LENGTH(sizeof *body);
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = ++sequence;
    body->ifi_index = index;
    used += message->nlmsg_len;
}

static struct rtattr *add(int type, const void *data, size_t size) {
    struct rtattr *attr = (struct rtattr *)(out + used);
    attr->rta_type = type;
    attr->rta_len = RTA_LENGTH(size);
    memset(RTA_DATA(attr), 0, RTA_ALIGN(size));
    if (data) memcpy(RTA_DATA(attr), data, size);
    used += RTA_SPACE(size);
    message->nlmsg_len = out + used - (char *)message;
    return attr;
}

static void add_text(int type, const char *text) { add(type, text, strlen(text) + 1); }
static void add_number(int type, uint32_t value) { add(type, &value, sizeof value); }
static void end(struct rtattr *nest) { nest->rta_len = out + used - (char *)nest; }

static void set(int index) { begin(RTM_SETLINK, NLM_F_ACK, index); }

static void set_text(int index, int type, const char *text) {
    set(index);
    add_text(type, text);
}

static void set_number(int index, int type, uint32_t value) {
    set(index);
    add_number(type, value);
}

static void set_mac(int index, const char *text) {
    unsigned char mac[6];
    if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6)
        die("mac");
    set(index);
    add(IFLA_ADDRESS, mac, sizeof mac);
}

static void set_quiet(int index) {
    uint8_t none = IN6_ADDR_GEN_MODE_NONE;
    set(index);
    struct rtattr *spec = add(IFLA_AF_SPEC | NLA_F_NESTED, NULL, 0), *inet6 = add(AF_INET6 | NLA_F_NESTED, NULL, 0);
    add(IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
    end(inet6);
    end(spec);
}

static void set_up(int index) {
    set(index);
    struct ifinfomsg *body = NLMSG_DATA(message);
    body->ifi_flags = body->ifi_change = IFF_UP;
}

static void add_altname(int index, const char *name) {
    begin(RTM_NEWLINKPROP, NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE | NLM_F_APPEND, index);
    struct rtattr *list = add(IFLA_PROP_LIST | NLA_F_NESTED, NULL, 0);
    add_text(IFLA_ALT_IFNAME, name);
    end(list);
}

/* ---- the socket */

static int open_netlink(void) {
    int fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), on = 1;
    int options[] = {NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK};
    for (int i = 0; i < 3; i++) MUST(setsockopt(fd, SOL_NETLINK, options[i], &on, sizeof on));
    struct sockaddr_nl here = {.nl_family = AF_NETLINK};
    MUST(bind(fd, (struct sockaddr *)&here, sizeof here));
    sequence = 0;
    return fd;
}

static void send_all(int fd) {
    struct iovec part = {out, used};
    struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1};
    MUST(sendmsg(fd, &whole, 0));
    used = 0;
}

static void change(int fd, int count) {
    send_all(fd);
    while (count) {
        int size = MUST(recv(fd, in, sizeof in, 0));
        for (struct nlmsghdr *m = (void *)in; NLMSG_OK(m, (unsigned)size); m = NLMSG_NEXT(m, size), count--) {
            struct nlmsgerr *answer = NLMSG_DATA(m);
            if ((errno = -answer->error)) die("rtnetlink");
        }
    }
}

/* Returns the index of a link, or 0: a look at all of it. */
static int look(int fd, int type, const char *name) {
    begin(RTM_GETLINK, 0, 0);
    add_text(type, name);
    add_number(IFLA_EXT_MASK, SKIP_STATS);
    send_all(fd);
    MUST(recv(fd, in, sizeof in, 0));
    struct nlmsghdr *m = (void *)in;
    if (m->nlmsg_type == RTM_NEWLINK) return ((struct ifinfomsg *)NLMSG_DATA(m))->ifi_index;
    if ((errno = -((struct nlmsgerr *)NLMSG_DATA(m))->error) != ENODEV) die("look");
    return 0;
}

/* Returns how many links have that in their message. */
static int dump(int fd, const char *needle) {
    int found = 0;
    begin(RTM_GETLINK, NLM_F_DUMP, 0);
    add_number(IFLA_EXT_MASK, SKIP_STATS);
    send_all(fd);
    for (;;) {
        int size = MUST(recv(fd, in, sizeof in, 0));
        for (struct nlmsghdr *m = (void *)in; NLMSG_OK(m, (unsigned)size); m = NLMSG_NEXT(m, size)) {
            if (m->nlmsg_type == NLMSG_DONE) return found;
            found += memmem(m, m->nlmsg_len, needle, strlen(needle)) != NULL;
        }
    }
}

/* ---- the rest */

static int lock(const char *path) {
    struct stat there, mine;
    MUST(stat("/proc/thread-self/ns/net", &there));
    int fd = MUST(open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    MUST(flock(fd, LOCK_EX | LOCK_NB));
    MUST(stat(path, &there));
    MUST(fstat(fd, &mine));
    if (there.st_ino != mine.st_ino) die("lock");
    return fd;
}

static void unlock(int fd, const char *path) {
    MUST(unlink(path));
    MUST(close(fd));
}

static void note(int number) { (void)number; }

static void signals(void (*handler)(int)) {
    int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) signal(numbers[i], handler);
}

static int open_tap(const char *name, int flags) {
    struct ifreq wish = {.ifr_flags = flags};
    int fd = MUST(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    strncpy(wish.ifr_name, name, IFNAMSIZ - 1);
    MUST(ioctl(fd, TUNSETIFF, &wish));
    return fd;
}

static void read_machine_id(void) {
    int fd = MUST(open("/etc/machine-id", O_RDONLY | O_CLOEXEC));
    MUST(read(fd, in, 64));
    close(fd);
}

static void try_vhost(void) {
    int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
    if (fd >= 0) close(fd);
}

static void attach(char **word) {
    enum { VMLOCK = 1, BRIDGELOCK, NAME, BRIDGE, OWNER, MTU, MAC, ALTNAME, MACNAME, BUILDING, TAG };
    signals(note);
    int vm = lock(word[VMLOCK]), fd = open_netlink();
    look(fd, IFLA_IFNAME, word[NAME]);
    read_machine_id();
    try_vhost();
    int at_bridge = lock(word[BRIDGELOCK]);
    look(fd, IFLA_IFNAME, word[NAME]);
    int bridge = look(fd, IFLA_IFNAME, word[BRIDGE]);
    look(fd, IFLA_ALT_IFNAME, word[MACNAME]);
    int tap = open_tap(word[NAME], TAP | IFF_TUN_EXCL);
    MUST(ioctl(tap, TUNSETOWNER, atol(word[OWNER])));
    int index = if_nametoindex(word[NAME]);
    set_text(index, IFLA_IFALIAS, word[BUILDING]);
    set_quiet(index);
    set_mac(index, word[MAC]);
    set_number(index, IFLA_MTU, atol(word[MTU]));
    add_altname(index, word[ALTNAME]);
    add_altname(index, word[MACNAME]);
    set_number(index, IFLA_MASTER, bridge);
    set_text(index, IFLA_IFALIAS, word[TAG]);
    set_up(index);
    change(fd, 9);
    MUST(ioctl(tap, TUNSETPERSIST, 1));
    look(fd, IFLA_IFNAME, word[NAME]);
    look(fd, IFLA_IFNAME, word[BRIDGE]);
    close(tap);
    unlock(at_bridge, word[BRIDGELOCK]);
    close(fd);
    unlock(vm, word[VMLOCK]);
    signals(SIG_DFL);
}

static void detach(char **word) {
    enum { VMLOCK = 1, NAME, NEEDLE };
    signals(note);
    int vm = lock(word[VMLOCK]), fd = open_netlink();
    if (dump(fd, word[NEEDLE]) != 1) die("detach: not one link");
    int tap = open_tap(word[NAME], TAP);
    if (!look(fd, IFLA_IFNAME, word[NAME])) die("detach");
    MUST(ioctl(tap, TUNSETPERSIST, 0));
    close(tap);
    close(fd);
    unlock(vm, word[VMLOCK]);
    signals(SIG_DFL);
}

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

int main(void) {
    char line[4096], *word[WORDS] = {0};
    while (fgets(line, sizeof line, stdin)) {
        int count = 0;
        line[strcspn(line, "\n")] = 0;
        for (char *rest = line, *next; count < WORDS && (next = strsep(&rest, "\t"));) word[count++] = next;
        uint64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
        (strcmp(word[0], "attach") ? detach : attach)(word);
        wall = now(CLOCK_MONOTONIC) - wall;
        cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        printf("%llu %llu\n", (unsigned long long)wall, (unsigned long long)cpu);
        fflush(stdout);
    }
}
