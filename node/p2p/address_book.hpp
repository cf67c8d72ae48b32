// SPDX-License-Identifier: Apache-2.0
// The addresses of nodes that one may dial: heard of, and found to answer.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "node/p2p/ip.hpp"

namespace trainyard::p2p {

/// A node's identity and where it listens.
struct NodeAddress {
    PublicKey id;
    Ip ip;
    uint16_t port = 0;
    bool operator==(const NodeAddress&) const = default;
};

/// An address as one node tells it to another.
struct ToldAddress {
    NodeAddress address;
    uint16_t age_hours = 0;  ///< since the teller last knew it alive
    bool operator==(const ToldAddress&) const = default;
};
inline constexpr size_t kToldMax = 64;
/// count u8 | for each: id 33 | IP 16 | port u16 LE | age in hours u16 LE.
[[nodiscard]] Bytes encode_told(const std::vector<ToldAddress>& told);
/// nullopt for what is not exactly such a list, or names an address that nobody can dial.
[[nodiscard]] std::optional<std::vector<ToldAddress>> decode_told(BytesView from);

/// Two tables of buckets with few places each. Which place an address may take follows from a
/// secret key, its group, and the group of who told it, so that neither one teller nor the owner of
/// one network can fill the book, or choose whom it pushes out.
///
/// An address is in one table at a time: `new` when it was heard of, `tried` once a node with that
/// identity answered there. Nobody else's word moves or removes a tried one.
/// Source: Bitcoin Core's addrman; docs/spec/wire.md, section 6.
class AddressBook {
public:
    static constexpr size_t kNewBuckets = 256;
    static constexpr size_t kNewBucketsOfSource = 32;  ///< that one group of tellers can reach
    static constexpr size_t kTriedBuckets = 64;
    static constexpr size_t kTriedBucketsOfGroup = 8;  ///< that one group of addresses can reach
    static constexpr size_t kBucketPlaces = 32;
    static constexpr size_t kBytesMax = 2u << 20;  ///< of an encoded book

    /// Drawn from when one of several is chosen.
    using Random = std::function<uint64_t()>;
    using MayUse = std::function<bool(const PublicKey&)>;

    explicit AddressBook(const Hash& key) : key_(key) {}

    /// Takes what a node at `source` says was alive at `seen_s`. False: not taken; it is nowhere to
    /// be dialled, farther inside than its teller (nobody outside knows what is at 10.0.0.1), known
    /// at another address that works, or its place holds one that is not worse.
    bool hear(const NodeAddress& address, const Ip& source, uint64_t seen_s, uint64_t now_s);
    void on_attempt(const PublicKey& id, uint64_t now_s);
    /// That node answered there.
    void on_success(const NodeAddress& address, uint64_t now_s);
    void forget(const PublicKey& id);

    /// One of either table, with even chances, that has not failed a short while ago.
    [[nodiscard]] std::optional<NodeAddress> pick(const Random& random, uint64_t now_s,
                                                  const MayUse& may_use) const;
    /// What is told to others: at most `most`, chosen at random, none that keeps failing.
    [[nodiscard]] std::vector<ToldAddress> sample(const Random& random, size_t most, uint64_t now_s,
                                                  const MayUse& may_use) const;

    [[nodiscard]] size_t new_count() const { return new_.size(); }
    [[nodiscard]] size_t tried_count() const { return tried_.size(); }
    [[nodiscard]] bool is_tried(const PublicKey& id) const;

    /// With a checksum at the end: a file that was torn or changed gives nullopt.
    [[nodiscard]] Bytes encode() const;
    [[nodiscard]] static std::optional<AddressBook> decode(BytesView from);

private:
    struct Entry {
        NodeAddress address;
        Ip source;
        uint64_t seen_s = 0, attempt_s = 0, success_s = 0;
        uint32_t failures = 0;  ///< attempts since it last answered
        bool is_tried = false;
    };
    using Place = uint32_t;
    using Table = std::map<Place, PublicKey>;

    [[nodiscard]] uint64_t keyed(std::initializer_list<BytesView> parts) const;
    [[nodiscard]] Place new_place(const NodeAddress& address, const Ip& source) const;
    [[nodiscard]] Place tried_place(const NodeAddress& address) const;
    [[nodiscard]] static bool is_hopeless(const Entry& entry, uint64_t now_s);
    [[nodiscard]] static uint64_t next_attempt_s(const Entry& entry);
    bool put_in_new(Entry entry, uint64_t now_s);
    void remove(std::map<PublicKey, Entry>::iterator at);
    static void encode_entry(Bytes& to, const Entry& entry);
    [[nodiscard]] static std::optional<Entry> decode_entry(BytesView& from);

    Hash key_;
    std::map<PublicKey, Entry> entries_;
    Table new_, tried_;
};

}  // namespace trainyard::p2p
