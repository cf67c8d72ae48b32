// SPDX-License-Identifier: Apache-2.0
// Places, choices and bytes of the address book.
#include "node/p2p/address_book.hpp"

#include <algorithm>
#include <initializer_list>

#include "core/hash.hpp"

namespace trainyard::p2p {
namespace {

constexpr uint64_t kHour = 3600, kDay = 24 * kHour;
constexpr uint64_t kForgottenAfter = 30 * kDay;
constexpr uint64_t kTriedSafeFor = 7 * kDay;  ///< after it answered
constexpr uint32_t kFailuresOfNew = 3, kFailuresOfTried = 10, kFailuresToldMax = 3;
constexpr uint64_t kRetryFirst = 10, kRetryLast = kHour;
constexpr uint32_t kDoublingsMax = 10;

constexpr std::string_view kMagic = "trainyard peers 1\n";
constexpr size_t kAddressBytes = 33 + 16 + 2, kToldBytes = kAddressBytes + 2;
constexpr size_t kEntryBytes = kAddressBytes + 16 + 3 * 8 + 4 + 1;

void put_address(Bytes& to, const NodeAddress& address) {
    append(to, address.id.bytes);
    append(to, address.ip.bytes);
    append_le(to, address.port);
}

Ip ip_at(BytesView from) {
    Ip ip;
    std::copy_n(from.begin(), ip.bytes.size(), ip.bytes.begin());
    return ip;
}

/// Whose places the address may take: those of its group. What lies in the own network or machine
/// counts alone, since only neighbours can tell of it, and all of it is one group.
Bytes owner_of(const NodeAddress& address) {
    Bytes owner;
    if (reach_of(address.ip) == Reach::internet)
        append(owner, group_of(address.ip));
    else
        put_address(owner, address);
    return owner;
}

/// Takes its bytes off `from`, which has enough.
std::optional<NodeAddress> take_address(BytesView& from) {
    NodeAddress out{*fixed_from<PublicKey>(from.first(33)), ip_at(from.subspan(33, 16)),
                    load_le<uint16_t>(from.data() + 49)};
    from = from.subspan(kAddressBytes);
    const bool is_point = out.id.bytes[0] == 2 || out.id.bytes[0] == 3;
    if (!is_point || out.port == 0 || reach_of(out.ip) == Reach::nowhere) return std::nullopt;
    return out;
}

}  // namespace

Bytes encode_told(const std::vector<ToldAddress>& told) {
    const size_t count = std::min(told.size(), kToldMax);
    Bytes out{static_cast<uint8_t>(count)};
    for (size_t i = 0; i < count; ++i) {
        put_address(out, told[i].address);
        append_le(out, told[i].age_hours);
    }
    return out;
}

std::optional<std::vector<ToldAddress>> decode_told(BytesView from) {
    if (from.empty() || from[0] > kToldMax || from.size() != 1 + from[0] * kToldBytes)
        return std::nullopt;
    std::vector<ToldAddress> out(from[0]);
    from = from.subspan(1);
    for (ToldAddress& told : out) {
        const auto address = take_address(from);
        if (!address) return std::nullopt;
        told = {*address, load_le<uint16_t>(from.data())};
        from = from.subspan(2);
    }
    return out;
}

uint64_t AddressBook::keyed(std::initializer_list<BytesView> parts) const {
    Sha256 hash;
    hash.update(key_.bytes);
    for (const BytesView& part : parts) hash.update(part);
    const Hash digest = hash.finish();
    return load_le<uint64_t>(digest.data());
}

AddressBook::Place AddressBook::new_place(const NodeAddress& address, const Ip& source) const {
    const Bytes group = owner_of(address);
    const auto from = group_of(source);
    const uint8_t nth =
        static_cast<uint8_t>(keyed({as_bytes("N"), group, from}) % kNewBucketsOfSource);
    const auto bucket =
        static_cast<Place>(keyed({as_bytes("n"), from, BytesView(&nth, 1)}) % kNewBuckets);
    Bytes at;
    append_le(at, bucket);
    put_address(at, address);
    return static_cast<Place>(bucket * kBucketPlaces + keyed({as_bytes("p"), at}) % kBucketPlaces);
}

AddressBook::Place AddressBook::tried_place(const NodeAddress& address) const {
    Bytes whole;
    put_address(whole, address);
    const Bytes group = owner_of(address);
    const uint8_t nth = static_cast<uint8_t>(keyed({as_bytes("T"), whole}) % kTriedBucketsOfGroup);
    const auto bucket =
        static_cast<Place>(keyed({as_bytes("t"), group, BytesView(&nth, 1)}) % kTriedBuckets);
    Bytes at;
    append_le(at, bucket);
    append(at, whole);
    return static_cast<Place>(bucket * kBucketPlaces + keyed({as_bytes("q"), at}) % kBucketPlaces);
}

bool AddressBook::is_hopeless(const Entry& entry, uint64_t now_s) {
    if (entry.seen_s + kForgottenAfter < now_s) return true;
    if (entry.success_s == 0) return entry.failures >= kFailuresOfNew;
    return entry.failures >= kFailuresOfTried && entry.success_s + kTriedSafeFor < now_s;
}

uint64_t AddressBook::next_attempt_s(const Entry& entry) {
    if (entry.failures == 0) return 0;
    const uint64_t wait = kRetryFirst << std::min(entry.failures - 1, kDoublingsMax);
    return entry.attempt_s + std::min(wait, kRetryLast);
}

bool AddressBook::put_in_new(Entry entry, uint64_t now_s) {
    const Place place = new_place(entry.address, entry.source);
    const auto taken = new_.find(place);
    if (taken != new_.end()) {
        const auto occupant = entries_.find(taken->second);
        if (!is_hopeless(occupant->second, now_s)) return false;
        remove(occupant);
    }
    new_[place] = entry.address.id;
    entry.is_tried = false;
    entries_[entry.address.id] = std::move(entry);
    return true;
}

void AddressBook::remove(std::map<PublicKey, Entry>::iterator at) {
    const Entry& entry = at->second;
    entry.is_tried ? tried_.erase(tried_place(entry.address))
                   : new_.erase(new_place(entry.address, entry.source));
    entries_.erase(at);
}

bool AddressBook::hear(const NodeAddress& address, const Ip& source, uint64_t seen_s,
                       uint64_t now_s) {
    const Reach reach = reach_of(address.ip), teller = reach_of(source);
    if (reach == Reach::nowhere || teller == Reach::nowhere || teller > reach) return false;
    if (address.port == 0) return false;
    seen_s = std::min(seen_s, now_s);
    const auto known = entries_.find(address.id);
    if (known != entries_.end()) {
        Entry& entry = known->second;
        if (entry.address == address) {
            entry.seen_s = std::max(entry.seen_s, seen_s);
            return true;
        }
        if (entry.is_tried || !is_hopeless(entry, now_s)) return false;
        remove(known);
    }
    Entry entry;
    entry.address = address;
    entry.source = source;
    entry.seen_s = seen_s;
    return !is_hopeless(entry, now_s) && put_in_new(std::move(entry), now_s);
}

void AddressBook::on_attempt(const PublicKey& id, uint64_t now_s) {
    const auto known = entries_.find(id);
    if (known == entries_.end()) return;
    known->second.attempt_s = now_s;
    if (known->second.failures < UINT32_MAX) ++known->second.failures;
}

void AddressBook::on_success(const NodeAddress& address, uint64_t now_s) {
    if (reach_of(address.ip) == Reach::nowhere || address.port == 0) return;
    Entry entry;
    entry.source = address.ip;
    const auto known = entries_.find(address.id);
    if (known != entries_.end()) {
        entry = known->second;
        remove(known);
    }
    entry.address = address;
    entry.seen_s = entry.attempt_s = entry.success_s = now_s;
    entry.failures = 0;
    const Place place = tried_place(address);
    const auto taken = tried_.find(place);
    if (taken != tried_.end()) {
        const auto occupant = entries_.find(taken->second);
        // One that answered lately keeps its place; the newcomer stays among the new.
        if (occupant->second.success_s + kTriedSafeFor >= now_s &&
            occupant->second.failures < kFailuresOfTried) {
            put_in_new(std::move(entry), now_s);
            return;
        }
        Entry older = occupant->second;
        remove(occupant);
        put_in_new(std::move(older), now_s);
    }
    entry.is_tried = true;
    tried_[place] = address.id;
    entries_[address.id] = std::move(entry);
}

void AddressBook::forget(const PublicKey& id) {
    const auto known = entries_.find(id);
    if (known != entries_.end()) remove(known);
}

bool AddressBook::is_tried(const PublicKey& id) const {
    const auto known = entries_.find(id);
    return known != entries_.end() && known->second.is_tried;
}

std::optional<NodeAddress> AddressBook::pick(const Random& random, uint64_t now_s,
                                             const MayUse& may_use) const {
    std::array<std::vector<const Entry*>, 2> ready;
    for (const auto& [id, entry] : entries_)
        if (next_attempt_s(entry) <= now_s && !is_hopeless(entry, now_s) && may_use(id))
            ready[entry.is_tried ? 1 : 0].push_back(&entry);
    const size_t first = random() % 2;
    const auto& from = ready[first].empty() ? ready[1 - first] : ready[first];
    if (from.empty()) return std::nullopt;
    return from[random() % from.size()]->address;
}

std::vector<ToldAddress> AddressBook::sample(const Random& random, size_t most, uint64_t now_s,
                                             const MayUse& may_use) const {
    std::vector<const Entry*> all;
    for (const auto& [id, entry] : entries_)
        if (entry.failures < kFailuresToldMax && !is_hopeless(entry, now_s) && may_use(id))
            all.push_back(&entry);
    std::vector<ToldAddress> out;
    for (size_t i = 0; i < std::min(most, all.size()); ++i) {
        std::swap(all[i], all[i + random() % (all.size() - i)]);
        const uint64_t age = (now_s - std::min(now_s, all[i]->seen_s)) / kHour;
        out.push_back({all[i]->address, static_cast<uint16_t>(std::min<uint64_t>(age, 0xffff))});
    }
    return out;
}

void AddressBook::encode_entry(Bytes& to, const Entry& entry) {
    put_address(to, entry.address);
    append(to, entry.source.bytes);
    append_le(to, entry.seen_s);
    append_le(to, entry.attempt_s);
    append_le(to, entry.success_s);
    append_le(to, entry.failures);
    to.push_back(entry.is_tried ? 1 : 0);
}

std::optional<AddressBook::Entry> AddressBook::decode_entry(BytesView& from) {
    const auto address = take_address(from);
    if (!address || from[16 + 3 * 8 + 4] > 1) return std::nullopt;
    Entry entry;
    entry.address = *address;
    entry.source = ip_at(from);
    entry.seen_s = load_le<uint64_t>(from.data() + 16);
    entry.attempt_s = load_le<uint64_t>(from.data() + 24);
    entry.success_s = load_le<uint64_t>(from.data() + 32);
    entry.failures = load_le<uint32_t>(from.data() + 40);
    entry.is_tried = from[44] == 1;
    from = from.subspan(kEntryBytes - kAddressBytes);
    return entry;
}

Bytes AddressBook::encode() const {
    Bytes out(as_bytes(kMagic).begin(), as_bytes(kMagic).end());
    append(out, key_.bytes);
    for (const auto& [id, entry] : entries_) encode_entry(out, entry);
    append(out, sha256(out).bytes);
    return out;
}

std::optional<AddressBook> AddressBook::decode(BytesView from) {
    const size_t fixed = kMagic.size() + 2 * Hash::size();
    if (from.size() < fixed || from.size() > kBytesMax) return std::nullopt;
    if ((from.size() - fixed) % kEntryBytes != 0) return std::nullopt;
    const BytesView content = from.first(from.size() - Hash::size());
    if (as_text(content.first(kMagic.size())) != kMagic) return std::nullopt;
    if (sha256(content) != *fixed_from<Hash>(from.last(Hash::size()))) return std::nullopt;
    AddressBook book(*fixed_from<Hash>(content.subspan(kMagic.size(), Hash::size())));
    BytesView rest = content.subspan(kMagic.size() + Hash::size());
    while (!rest.empty()) {
        const auto entry = decode_entry(rest);
        if (!entry) return std::nullopt;
        const PublicKey& id = entry->address.id;
        const bool in_order = book.entries_.empty() || book.entries_.rbegin()->first < id;
        Table& table = entry->is_tried ? book.tried_ : book.new_;
        const Place place = entry->is_tried ? book.tried_place(entry->address)
                                            : book.new_place(entry->address, entry->source);
        if (!in_order || !table.emplace(place, id).second) return std::nullopt;
        book.entries_.emplace(id, *entry);
    }
    return book;
}

}  // namespace trainyard::p2p
