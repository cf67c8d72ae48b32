// SPDX-License-Identifier: Apache-2.0
// The layout of the store (docs/spec/state.md, section 2), its commit and its recovery.
#include "state/world.hpp"

#include <mutex>

#include "core/assert.hpp"
#include "core/rlp.hpp"
#include "state/node_cache.hpp"

namespace trainyard::state {
namespace {

/// First byte of a key: what kind of record it is.
enum class Table : uint8_t {
    account = 'a',      ///< address -> account
    slot = 's',         ///< address | slot -> value, trimmed
    node = 'n',         ///< keccak -> trie node or code
    header = 'h',       ///< number -> header
    body = 'b',         ///< number -> the items of the block after its header
    number = 'H',       ///< block hash -> number
    receipts = 'r',     ///< number -> list of encoded receipts
    tx = 't',           ///< transaction hash -> number | index
    certificate = 'f',  ///< number -> certificate
    meta = 'm',         ///< name -> what concerns the whole store
};

constexpr uint64_t kFormat = 1;
constexpr std::string_view kHeadName = "head";

Bytes key(Table table, BytesView rest) {
    Bytes out(1 + rest.size(), static_cast<uint8_t>(table));
    std::copy(rest.begin(), rest.end(), out.begin() + 1);
    return out;
}

/// Big-endian, so that ranges come in the order of numbers.
Bytes big_endian(uint64_t value, size_t size) {
    Bytes out(size);
    for (size_t i = size; i-- > 0; value >>= 8) out[i] = static_cast<uint8_t>(value);
    return out;
}

Bytes key(Table table, uint64_t number) {
    return key(table, big_endian(number, 8));
}

Bytes slot_key(const Address& address, const Uint256& slot) {
    Bytes out = key(Table::slot, address);
    append(out, to_hash(slot));
    return out;
}

Bytes encode_receipts(const std::vector<Receipt>& receipts) {
    rlp::Writer out;
    out.begin_list();
    for (const Receipt& receipt : receipts) out.bytes(encode_receipt(receipt));
    return out.end_list().take();
}

std::optional<std::vector<Receipt>> decode_receipts(BytesView encoded) {
    std::vector<Receipt> receipts;
    rlp::Fields in(encoded);
    in.each([&](rlp::Fields& element) {
        auto receipt = decode_receipt(element.view());
        if (!receipt) return element.fail(receipt.error());
        receipts.push_back(*std::move(receipt));
    });
    return in.finish() ? std::optional(std::move(receipts)) : std::nullopt;
}

/// The block's encoding without the outer list and the header.
Bytes encode_body(const Block& block) {
    const Bytes whole = encode_block(block);
    auto items = rlp::Reader(whole).list();
    ASSERT(items && items->raw());
    return {items->rest().begin(), items->rest().end()};
}

std::optional<Block> join_block(BytesView header, BytesView body) {
    rlp::Writer whole;
    auto block = decode_block(whole.begin_list().raw(header).raw(body).end_list().take());
    return block ? std::optional(*std::move(block)) : std::nullopt;
}

StoreError malformed(std::string what, std::string where) {
    return {StoreError::Kind::malformed, std::move(what), std::move(where),
            "restore the data folder from a copy, or remove it and synchronise again"};
}

StoreError missing(std::string what, std::string where) {
    StoreError error = malformed(std::move(what), std::move(where));
    error.kind = StoreError::Kind::missing;
    return error;
}

StoreError refused(KvError error, std::string where) {
    const std::string_view help =
        error == KvError::corrupt  ? "restore the data folder from a copy, or synchronise again"
        : error == KvError::locked ? "stop the other process that uses this data folder"
                                   : "check free space, permissions and health of the disk";
    return {StoreError::Kind::refused, std::string(to_text(error)), std::move(where),
            std::string(help)};
}

std::string block_name(uint64_t number) {
    return "block " + std::to_string(number);
}

void put_state(Batch& batch, const Kv& kv, const StateDiff& diff, const StateUpdate& update) {
    for (const auto& [address, change] : diff.accounts) {
        if (!change || change->storage_cleared)
            kv.scan(key(Table::slot, address), [&](BytesView old, BytesView) {
                batch.erase(old);
                return true;
            });
        if (!change) {
            batch.erase(key(Table::account, address));
            continue;
        }
        const Account account{change->nonce, change->balance, change->code_hash,
                              update.storage_roots.at(address)};
        batch.put(key(Table::account, address), encode_account(account));
        for (const auto& [slot, value] : change->storage) {
            if (value.is_zero())
                batch.erase(slot_key(address, slot));
            else
                batch.put(slot_key(address, slot), to_be_trimmed(value));
        }
    }
    for (const auto& [hash, encoded] : update.new_nodes) batch.put(key(Table::node, hash), encoded);
}

void put_block(Batch& batch, const Commit& commit, const Hash& hash) {
    const Block& block = commit.block;
    const uint64_t number = block.header.number;
    batch.put(key(Table::header, number), encode_header(block.header));
    batch.put(key(Table::body, number), encode_body(block));
    batch.put(key(Table::number, hash), big_endian(number, 8));
    batch.put(key(Table::receipts, number), encode_receipts(commit.receipts));
    batch.put(key(Table::certificate, number), commit.certificate);
    for (size_t i = 0; i < block.txs.size(); ++i) {
        Bytes location = big_endian(number, 8);
        append(location, big_endian(i, 4));
        batch.put(key(Table::tx, hash_tx(block.txs[i])), location);
    }
    rlp::Writer head;
    head.begin_list().number(kFormat).number(number).fixed(hash).end_list();
    batch.put(key(Table::meta, as_bytes(kHeadName)), head.take());
}

}  // namespace

/// Holds the store; the two views of the state are faces of it.
struct World::Impl final : NodeSource {
    Impl(Kv& store, size_t node_cache_bytes) : kv(store), flat(*this), cache(node_cache_bytes) {}

    struct Flat final : StateView {
        explicit Flat(const Impl& world) : world_(world) {}
        std::optional<Account> account(const Address& address) const override;
        Uint256 storage(const Address& address, const Uint256& slot) const override;
        Bytes code(const Hash& code_hash) const override;

    private:
        const Impl& world_;
    };

    std::optional<Bytes> node(const Hash& hash) const override {
        if (auto cached = cache.find(hash)) return cached;
        auto found = kv.get(key(Table::node, hash));
        if (found) cache.put(hash, *found);
        return found;
    }
    void report(const TrieError& error) const override {
        note(malformed(to_text(error), "state trie"));
    }
    /// Keeps the first fault.
    void note(StoreError error) const {
        const std::unique_lock lock(mutex);
        if (!fault) fault = std::move(error);
    }
    std::optional<Head> recover(std::optional<StoreError>& error) const;
    std::optional<StoreError> check(const Head& head) const;

    Kv& kv;
    Flat flat;
    mutable NodeCache cache;
    mutable std::shared_mutex mutex;  ///< guards what follows
    std::optional<Head> head;
    mutable std::optional<StoreError> fault;
};

std::optional<Account> World::Impl::Flat::account(const Address& address) const {
    const auto record = world_.kv.get(key(Table::account, address));
    if (!record) return std::nullopt;
    const auto account = decode_account(*record);
    if (!account) world_.note(malformed("malformed account record", to_hex0x(address)));
    return account;
}

Uint256 World::Impl::Flat::storage(const Address& address, const Uint256& slot) const {
    const auto record = world_.kv.get(slot_key(address, slot));
    if (!record) return 0;
    if (!record->empty() && record->size() <= 32) return from_be(*record);
    world_.note(malformed("malformed storage record", to_hex0x(address)));
    return 0;
}

Bytes World::Impl::Flat::code(const Hash& code_hash) const {
    return TrieView(world_, kEmptyTrieRoot).code(code_hash);
}

/// The head record and the header it names; nullopt without an error is an empty store.
std::optional<Head> World::Impl::recover(std::optional<StoreError>& error) const {
    const auto record = kv.get(key(Table::meta, as_bytes(kHeadName)));
    if (!record) {
        kv.scan(key(Table::header, BytesView{}), [&](BytesView, BytesView) {
            error = missing("no head record though there are blocks", "record 'head'");
            return false;
        });
        return std::nullopt;
    }
    Head found;
    uint64_t format = 0, number = 0;
    rlp::Fields outer(*record);
    outer.list([&](rlp::Fields& in) {
        format = in.number();
        number = in.number();
        found.hash = in.fixed<Hash>();
    });
    if (!outer.finish()) {
        error = malformed("malformed head record", "record 'head'");
    } else if (format != kFormat) {
        error = {StoreError::Kind::wrong_format, "store of format " + std::to_string(format),
                 "record 'head'",
                 "use the program version that wrote it, or remove the data folder"};
    } else if (const auto header = kv.get(key(Table::header, number)); !header) {
        error = missing("missing header", block_name(number));
    } else if (auto decoded = decode_header(*header);
               !decoded || hash_header(*decoded) != found.hash) {
        error = malformed("header does not match the head record", block_name(number));
    } else {
        found.header = *std::move(decoded);
        return found;
    }
    return std::nullopt;
}

/// What the last commit wrote beside the header must be there too.
std::optional<StoreError> World::Impl::check(const Head& at) const {
    const uint64_t number = at.header.number;
    const auto body = kv.get(key(Table::body, number));
    const auto kept = kv.get(key(Table::receipts, number));
    if (!body) return missing("missing block body", block_name(number));
    const auto block = join_block(encode_header(at.header), *body);
    if (!block) return malformed("malformed block body", block_name(number));
    if (!kept) return missing("missing receipts", block_name(number));
    const auto decoded = decode_receipts(*kept);
    if (!decoded || decoded->size() != block->txs.size())
        return malformed("malformed receipts", block_name(number));
    if (kv.get(key(Table::number, at.hash)) != big_endian(number, 8))
        return malformed("hash index does not name the head", block_name(number));
    const Hash& root = at.header.state_root;
    if (root == kEmptyTrieRoot) return std::nullopt;
    const auto node = kv.get(key(Table::node, root));
    if (!node) return missing("missing state root " + to_hex0x(root), block_name(number));
    if (keccak256(*node) != root)
        return malformed("state root node with another hash", block_name(number));
    return std::nullopt;
}

World::World(Kv& kv, size_t node_cache_bytes)
    : impl_(std::make_unique<Impl>(kv, node_cache_bytes)) {}
World::~World() = default;

Result<std::unique_ptr<World>, StoreError> World::open(Kv& kv, size_t node_cache_bytes) {
    std::unique_ptr<World> world(new World(kv, node_cache_bytes));
    Impl& impl = *world->impl_;
    std::optional<StoreError> error;
    impl.head = impl.recover(error);
    if (!error && impl.head) error = impl.check(*impl.head);
    if (const auto failure = kv.read_failure()) error = refused(*failure, "opening the store");
    if (error) return unexpected(*std::move(error));
    return world;
}

std::optional<Head> World::head() const {
    const std::shared_lock lock(impl_->mutex);
    return impl_->head;
}

Result<Done, StoreError> World::commit_block(const Commit& commit) {
    const Header& header = commit.block.header;
    const auto before = head();
    if (const auto fault = damage()) return unexpected(*fault);
    if (before &&
        (header.number != before->header.number + 1 || header.parent_hash != before->hash))
        return unexpected(StoreError{StoreError::Kind::wrong_parent,
                                     "the block does not follow the head",
                                     block_name(header.number), "report this as a bug"});
    if (commit.update.root != header.state_root)
        return unexpected(StoreError{StoreError::Kind::malformed,
                                     "the state root is not that of the diff",
                                     block_name(header.number), "report this as a bug"});
    const Hash hash = hash_header(header);
    Batch batch;
    put_state(batch, impl_->kv, commit.diff, commit.update);
    put_block(batch, commit, hash);
    if (commit.extra != nullptr)
        batch.entries.insert(batch.entries.end(), commit.extra->entries.begin(),
                             commit.extra->entries.end());
    if (const auto written = impl_->kv.write(batch, Durability::synced); !written)
        return unexpected(refused(written.error(), block_name(header.number)));
    for (const auto& [node_hash, node] : commit.update.new_nodes) impl_->cache.put(node_hash, node);
    const std::unique_lock lock(impl_->mutex);
    impl_->head = Head{hash, header};
    return Done{};
}

std::optional<Header> World::header_by_number(uint64_t number) const {
    const auto record = impl_->kv.get(key(Table::header, number));
    if (!record) return std::nullopt;
    auto header = decode_header(*record);
    if (header) return *std::move(header);
    impl_->note(malformed("malformed header", block_name(number)));
    return std::nullopt;
}

std::optional<Block> World::block_by_number(uint64_t number) const {
    const auto header = impl_->kv.get(key(Table::header, number));
    if (!header) return std::nullopt;
    const auto body = impl_->kv.get(key(Table::body, number));
    auto block = body ? join_block(*header, *body) : std::nullopt;
    if (!block) impl_->note(malformed("missing or malformed block", block_name(number)));
    return block;
}

std::optional<Block> World::block_by_hash(const Hash& hash) const {
    const auto number = number_of_hash(hash);
    return number ? block_by_number(*number) : std::nullopt;
}

std::optional<uint64_t> World::number_of_hash(const Hash& hash) const {
    const auto record = impl_->kv.get(key(Table::number, hash));
    if (!record) return std::nullopt;
    if (record->size() == 8) return from_be(*record).low();
    impl_->note(malformed("malformed hash index", to_hex0x(hash)));
    return std::nullopt;
}

std::optional<std::vector<Receipt>> World::receipts(uint64_t number) const {
    const auto record = impl_->kv.get(key(Table::receipts, number));
    if (!record) return std::nullopt;
    auto receipts = decode_receipts(*record);
    if (!receipts) impl_->note(malformed("malformed receipts", block_name(number)));
    return receipts;
}

std::optional<TxLocation> World::tx_location(const Hash& tx_hash) const {
    const auto record = impl_->kv.get(key(Table::tx, tx_hash));
    if (!record) return std::nullopt;
    if (record->size() != 12) {
        impl_->note(malformed("malformed transaction index", to_hex0x(tx_hash)));
        return std::nullopt;
    }
    const BytesView parts(*record);
    return TxLocation{from_be(parts.first(8)).low(),
                      static_cast<uint32_t>(from_be(parts.subspan(8)).low())};
}

std::optional<Bytes> World::certificate(uint64_t number) const {
    return impl_->kv.get(key(Table::certificate, number));
}

const NodeSource& World::nodes() const {
    return *impl_;
}

const StateView& World::flat() const {
    return impl_->flat;
}

std::optional<TrieView> World::view_at(const Hash& state_root) const {
    if (state_root != kEmptyTrieRoot && !impl_->node(state_root)) return std::nullopt;
    return TrieView(*impl_, state_root);
}

std::optional<StoreError> World::damage() const {
    if (const auto failure = impl_->kv.read_failure())
        return refused(*failure, "reading the store");
    const std::shared_lock lock(impl_->mutex);
    return impl_->fault;
}

std::string to_text(const StoreError& error) {
    return error.what + " (" + error.where + "); " + error.what_to_do;
}

std::string_view to_text(KvError error) {
    switch (error) {
        case KvError::locked:
            return "the store is in use by another process";
        case KvError::corrupt:
            return "the store fails its own checksums";
        case KvError::io:
            return "the disk refused a read or a write";
    }
    return "unknown error";
}

}  // namespace trainyard::state
