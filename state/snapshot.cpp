// SPDX-License-Identifier: Apache-2.0
// Snapshots out of a store, and a store out of snapshots.
#include "state/snapshot.hpp"

#include <algorithm>

#include "core/rlp.hpp"
#include "state/records.hpp"

namespace trainyard::state {
namespace {

constexpr uint64_t kVersion = 2;
constexpr size_t kBatchBytes = size_t{4} << 20;
constexpr size_t kChunksMax = 1 << 20;
constexpr std::array kTables{Table::account, Table::code, Table::slot};  ///< in the order of keys

bool is_before(BytesView a, BytesView b) {
    return as_text(a) < as_text(b);
}

void write_records(rlp::Writer& out, const std::vector<Record>& records) {
    out.begin_list();
    for (const Record& r : records) out.begin_list().bytes(r.key).bytes(r.value).end_list();
    out.end_list();
}

std::vector<Record> read_records(rlp::Fields& in) {
    std::vector<Record> records;
    in.each([&](rlp::Fields& list) {
        list.list([&](rlp::Fields& pair) {
            Record& record = records.emplace_back();
            record.key = pair.bytes();
            record.value = pair.bytes();
        });
    });
    return records;
}

/// One record of the state; the error says what is wrong with it.
std::optional<std::string> find_fault(const Record& record) {
    const auto table = record.key.empty() ? Table::meta : static_cast<Table>(record.key[0]);
    const BytesView rest = BytesView(record.key).subspan(record.key.empty() ? 0 : 1);
    const BytesView value(record.value);
    if (table == Table::account) {
        if (rest.size() == Address::size() && decode_account(value)) return std::nullopt;
        return "a malformed account";
    }
    if (table == Table::slot) {
        const bool good = rest.size() == Address::size() + 32 && !value.empty() &&
                          value.size() <= 32 && value[0] != 0;
        return good ? std::nullopt : std::optional<std::string>("a malformed slot");
    }
    if (table != Table::code) return "a record of another table";
    const auto hash = fixed_from<Hash>(rest);
    if (hash && *hash == keccak256(value)) return std::nullopt;
    return "a code with another hash";
}

/// Fills chunks up to their size, in the order of the records.
class ChunkWriter {
public:
    explicit ChunkWriter(const TakeChunk& take) : take_(take) {}

    void add(BytesView key, BytesView value) {
        constexpr size_t kPrefixes = 16, kChunkPrefix = 8;
        const size_t size = key.size() + value.size() + kPrefixes;
        if (bytes_ + size + kChunkPrefix > kChunkBytesMax) end();
        bytes_ += size;
        records_.push_back({{key.begin(), key.end()}, {value.begin(), value.end()}});
    }
    void end() {
        if (records_.empty() || error_) return;
        rlp::Writer out;
        write_records(out, records_);
        const Bytes chunk = out.take();
        hashes_.push_back(keccak256(chunk));
        if (const auto taken = take_(chunk); !taken) error_ = taken.error();
        records_.clear();
        bytes_ = 0;
    }
    [[nodiscard]] std::vector<Hash>& hashes() { return hashes_; }
    [[nodiscard]] const std::optional<std::string>& error() const { return error_; }

private:
    const TakeChunk& take_;
    std::vector<Record> records_;
    std::vector<Hash> hashes_;
    size_t bytes_ = 0;
    std::optional<std::string> error_;
};

std::string no_manifest(std::string_view why) {
    return "the manifest is malformed: " + std::string(why);
}

/// Each header is the child of the one before, up to the block.
std::optional<std::string> check_headers(const CheckedManifest& checked) {
    std::optional<Hash> parent;
    for (const Bytes& encoded : checked.manifest.headers) {
        const auto header = decode_header(encoded);
        if (!header) return no_manifest("a header does not decode");
        if (parent && header->parent_hash != *parent) return no_manifest("the headers have a gap");
        if (header->number == 0 && hash_header(*header) != hash_header(checked.first.header))
            return no_manifest("its headers begin with another block 0");
        parent = hash_header(*header);
    }
    if (parent && checked.block.header.parent_hash != *parent)
        return no_manifest("its block does not follow the headers");
    return std::nullopt;
}

}  // namespace

Bytes encode_manifest(const Manifest& m) {
    rlp::Writer out;
    out.begin_list().number(kVersion).bytes(m.first_block).bytes(m.first_receipts);
    out.bytes(m.block).bytes(m.receipts).bytes(m.certificate).begin_list();
    for (const Bytes& header : m.headers) out.bytes(header);
    out.end_list().begin_list();
    for (const Hash& chunk : m.chunks) out.fixed(chunk);
    return out.end_list().end_list().take();
}

Result<CheckedManifest, std::string> check_manifest(BytesView encoded) {
    if (encoded.size() > kManifestBytesMax) return unexpected(no_manifest("it is too large"));
    CheckedManifest checked;
    Manifest& m = checked.manifest;
    uint64_t version = 0;
    rlp::Fields outer(encoded);
    outer.list([&](rlp::Fields& in) {
        version = in.number();
        m.first_block = in.bytes();
        m.first_receipts = in.bytes();
        m.block = in.bytes();
        m.receipts = in.bytes();
        m.certificate = in.bytes();
        in.each([&](rlp::Fields& list) {
            m.headers.push_back(list.bytes());
            if (m.headers.size() > kSnapshotHeaders) list.fail(rlp::Error::bad_value);
        });
        in.each([&](rlp::Fields& list) {
            m.chunks.push_back(list.fixed<Hash>());
            if (m.chunks.size() > kChunksMax) list.fail(rlp::Error::bad_value);
        });
    });
    if (!outer.finish()) return unexpected(no_manifest("it does not decode"));
    if (version != kVersion)
        return unexpected("the snapshot is of version " + std::to_string(version) +
                          ", this program reads " + std::to_string(kVersion));
    auto first = decode_block(m.first_block), block = decode_block(m.block);
    if (!first || !block) return unexpected(no_manifest("a block does not decode"));
    auto receipts = decode_receipts(m.receipts), old = decode_receipts(m.first_receipts);
    if (!receipts || receipts->size() != block->txs.size() || !old ||
        old->size() != first->txs.size())
        return unexpected(no_manifest("the receipts do not fit the block"));
    checked.first = *std::move(first);
    checked.block = *std::move(block);
    checked.receipts = *std::move(receipts);
    if (checked.first.header.number != 0) return unexpected(no_manifest("it has no block 0"));
    checked.hash = hash_header(checked.block.header);
    if (auto fault = check_headers(checked)) return unexpected(*std::move(fault));
    return checked;
}

Hash snapshot_id(const Manifest& manifest, const Hash& block_hash) {
    rlp::Writer out;
    out.begin_list().fixed(block_hash).begin_list();
    for (const Hash& chunk : manifest.chunks) out.fixed(chunk);
    return keccak256(out.end_list().end_list().take());
}

bool holds_chain(const KvReader& kv) {
    return kv.get(meta_key("head")).has_value();
}

Result<Done, KvError> erase_all(Kv& kv) {
    constexpr size_t kAtOnce = 10'000;
    for (;;) {
        Batch batch;
        kv.scan({}, [&](BytesView key, BytesView) {
            batch.erase(key);
            return batch.entries.size() < kAtOnce;
        });
        if (batch.entries.empty()) return Done{};
        if (auto done = kv.write(batch, Durability::synced); !done) return done;
    }
}

Result<Manifest, std::string> export_snapshot(const World& world, const KvReader& tables,
                                              uint64_t number, const TakeChunk& take) {
    const auto first = world.block_by_number(0), block = world.block_by_number(number);
    const auto receipts = world.receipts(number), old = world.receipts(0);
    const auto certificate = world.certificate(number);
    if (!first || !block || !receipts || !old || !certificate)
        return unexpected("the store lacks block 0 or " + block_name(number));
    Manifest manifest{encode_block(*first),
                      encode_receipts(*old),
                      encode_block(*block),
                      encode_receipts(*receipts),
                      *certificate,
                      {},
                      {}};
    for (uint64_t n = number - std::min(number, kSnapshotHeaders); n < number; ++n)
        if (const auto header = world.header_by_number(n))
            manifest.headers.push_back(encode_header(*header));
    ChunkWriter chunks(take);
    for (const Table table : kTables)
        tables.scan(record_key(table, BytesView()), [&](BytesView key, BytesView value) {
            chunks.add(key, value);
            return !chunks.error();
        });
    chunks.end();
    if (chunks.error()) return unexpected(*chunks.error());
    if (const auto damage = world.damage()) return unexpected(to_text(*damage));
    if (const auto failure = tables.read_failure())
        return unexpected(std::string(to_text(*failure)));
    manifest.chunks = std::move(chunks.hashes());
    return manifest;
}

struct SnapshotReader::Impl {
    struct Owner {
        Address address;
        Hash storage_root;
    };

    CheckedManifest checked;
    Kv* into;
    Counts counts;
    size_t next = 0;
    Bytes last_key;
    std::vector<TrieItem> accounts;
    std::vector<Owner> owners;  ///< of storage, by address
    size_t next_owner = 0;
    std::vector<TrieItem> slots;  ///< of the owner at hand
    std::vector<Hash> codes_due;  ///< sorted
    std::vector<Hash> codes;      ///< sorted, as they come
    Batch batch;
    size_t batch_bytes = 0;
    std::optional<std::string> error;

    [[nodiscard]] uint64_t number() const { return checked.block.header.number; }
    void put(BytesView key, BytesView value) {
        if (into == nullptr) return;
        batch.put(key, value);
        batch_bytes += key.size() + value.size();
        if (batch_bytes >= kBatchBytes) write();
    }
    void write() {
        if (into == nullptr || error) return;
        if (const auto done = into->write(batch, Durability::synced); !done)
            error = std::string(to_text(done.error()));
        batch.entries.clear();
        batch_bytes = 0;
    }
    [[nodiscard]] Hash build(std::vector<TrieItem>& items, const std::string& place) {
        std::sort(items.begin(), items.end(),
                  [](const TrieItem& a, const TrieItem& b) { return a.key < b.key; });
        return build_trie(items, place,
                          [this](const Hash& hash, const std::string& at, const Bytes& node) {
                              put(node_key(at, hash), encode_node_record(number(), node));
                          });
    }
    [[nodiscard]] std::optional<std::string> take(const Record& record);
    [[nodiscard]] std::optional<std::string> take_slot(const Record& record);
    [[nodiscard]] std::optional<std::string> end_owner();
    [[nodiscard]] std::optional<std::string> check_end();
    void put_blocks();
};

/// The storage of one account is whole.
std::optional<std::string> SnapshotReader::Impl::end_owner() {
    const Owner& owner = owners[next_owner++];
    const Hash root = build(slots, storage_place(keccak256(owner.address.bytes)));
    slots.clear();
    if (root == owner.storage_root) return std::nullopt;
    return "the slots of " + to_hex0x(owner.address.bytes) + " give another storage root";
}

std::optional<std::string> SnapshotReader::Impl::take_slot(const Record& record) {
    const BytesView rest = BytesView(record.key).subspan(1);
    const auto address = *fixed_from<Address>(rest.first(Address::size()));
    while (next_owner < owners.size() && owners[next_owner].address < address)
        if (auto fault = end_owner()) return fault;
    if (next_owner == owners.size() || owners[next_owner].address != address)
        return "slots of " + to_hex0x(address.bytes) + ", which has no storage";
    slots.push_back(
        {keccak256(rest.subspan(Address::size())), rlp::Writer().bytes(record.value).take()});
    ++counts.slots;
    return std::nullopt;
}

std::optional<std::string> SnapshotReader::Impl::take(const Record& record) {
    if (auto fault = find_fault(record)) return fault;
    if (!last_key.empty() && !is_before(last_key, record.key)) return "records out of order";
    last_key = record.key;
    put(record.key, record.value);
    const BytesView rest = BytesView(record.key).subspan(1);
    switch (static_cast<Table>(record.key[0])) {
        case Table::account: {
            const auto account = *decode_account(record.value);
            accounts.push_back({keccak256(rest), record.value});
            if (account.storage_root != kEmptyTrieRoot)
                owners.push_back({*fixed_from<Address>(rest), account.storage_root});
            if (account.code_hash != kEmptyCodeHash) codes_due.push_back(account.code_hash);
            ++counts.accounts;
            return std::nullopt;
        }
        case Table::code:
            codes.push_back(*fixed_from<Hash>(rest));
            ++counts.codes;
            return std::nullopt;
        default:
            return take_slot(record);
    }
}

/// Nothing is missing, and the roots are those of the header.
std::optional<std::string> SnapshotReader::Impl::check_end() {
    if (next != checked.manifest.chunks.size())
        return "chunks are missing: " + std::to_string(next) + " of " +
               std::to_string(checked.manifest.chunks.size()) + " came";
    while (next_owner < owners.size())
        if (auto fault = end_owner()) return fault;
    std::sort(codes_due.begin(), codes_due.end());
    codes_due.erase(std::unique(codes_due.begin(), codes_due.end()), codes_due.end());
    if (!std::includes(codes.begin(), codes.end(), codes_due.begin(), codes_due.end()))
        return "the code of an account is missing";
    if (build(accounts, std::string(kAccountPlace)) != checked.block.header.state_root)
        return "the accounts give another state root than the block's";
    return std::nullopt;
}

/// The head comes last: until it is there the store is none.
void SnapshotReader::Impl::put_blocks() {
    const Manifest& m = checked.manifest;
    const auto put_block = [&](const Block& block, BytesView receipts) {
        const uint64_t n = block.header.number;
        put(record_key(Table::body, n), encode_body(block));
        put(record_key(Table::receipts, n), receipts);
        for (size_t i = 0; i < block.txs.size(); ++i) {
            Bytes place = big_endian(n, 8);
            append(place, big_endian(i, 4));
            put(record_key(Table::tx, hash_tx(block.txs[i])), place);
        }
    };
    const auto put_header = [&](const Header& header) {
        put(record_key(Table::header, header.number), encode_header(header));
        put(record_key(Table::number, hash_header(header)), big_endian(header.number, 8));
    };
    for (const Bytes& encoded : m.headers) put_header(*decode_header(encoded));
    put_block(checked.first, m.first_receipts);
    put_header(checked.first.header);
    put(record_key(Table::certificate, uint64_t{0}), {});
    put_block(checked.block, m.receipts);
    put(record_key(Table::certificate, number()), m.certificate);
    write();
    put_header(checked.block.header);
    put(meta_key("state"), encode_state({number(), checked.block.header.state_root}));
    put(meta_key("kept"), encode_kept({Pruning::full, number(), number(), number() + 1}));
    put(meta_key("head"), encode_head({kFormat, number(), checked.hash}));
    write();
}

SnapshotReader::SnapshotReader(CheckedManifest manifest, Kv* into) : impl_(new Impl) {
    impl_->checked = std::move(manifest);
    impl_->into = into;
}
SnapshotReader::~SnapshotReader() = default;

Result<Done, std::string> SnapshotReader::add(BytesView chunk) {
    Impl& impl = *impl_;
    const auto fail = [&](const std::string& why) {
        return unexpected("chunk " + std::to_string(impl.next) + ": " + why);
    };
    if (impl.next >= impl.checked.manifest.chunks.size())
        return fail("the manifest lists no such chunk");
    if (chunk.size() > kChunkBytesMax) return fail("larger than 1 MiB");
    if (keccak256(chunk) != impl.checked.manifest.chunks[impl.next])
        return fail("its hash is not that of the manifest");
    rlp::Fields in(chunk);
    const auto records = read_records(in);
    if (!in.finish()) return fail("it does not decode");
    for (const Record& record : records)
        if (const auto fault = impl.take(record)) return fail(*fault);
    if (impl.error) return fail(*impl.error);
    ++impl.next;
    return Done{};
}

bool SnapshotReader::has_store_failed() const {
    return impl_->error.has_value();
}

Result<SnapshotReader::Counts, std::string> SnapshotReader::finish(const Batch& others) {
    if (auto fault = impl_->check_end()) return unexpected(*std::move(fault));
    for (const auto& [key, value] : others.entries)
        if (value) impl_->put(key, *value);
    impl_->put_blocks();
    if (impl_->error) return unexpected(*impl_->error);
    return impl_->counts;
}

}  // namespace trainyard::state
