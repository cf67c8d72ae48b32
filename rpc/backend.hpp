// SPDX-License-Identifier: Apache-2.0
// What the RPC methods need from a node: blocks, state, execution, the pool, blobs and its own
// condition.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/call.hpp"
#include "core/hash.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "core/trace.hpp"
#include "core/tx.hpp"
#include "core/uint256.hpp"

namespace trainyard::rpc {

/// A block with all that its execution gave. The four lists run in parallel.
struct FullBlock {
    Hash hash;
    Block block;
    uint64_t size_bytes = 0;  ///< of the block's RLP
    std::vector<Hash> tx_hashes;
    std::vector<Address> senders;
    std::vector<Receipt> receipts;
};
using BlockPtr = std::shared_ptr<const FullBlock>;

/// Fills in the hashes and the size. Precondition: one sender and one receipt for each transaction.
[[nodiscard]] BlockPtr make_full_block(Block block, std::vector<Address> senders,
                                       std::vector<Receipt> receipts);

/// `latest` = `safe` = the certified head; `pending` is `latest` except for nonces.
enum class Tag { earliest, latest, safe, finalized, pending };

struct BlockByHash {
    Hash hash;
    bool require_canonical = false;  ///< EIP-1898
    bool operator==(const BlockByHash&) const = default;
};
using BlockId = std::variant<Tag, uint64_t, BlockByHash>;

struct TxPlace {
    BlockPtr block;
    size_t index = 0;
};

struct PooledTx {
    Tx tx;
    Hash hash;
    Address sender;
};

/// `pending` can go into the next block, `queued` waits for an earlier nonce; both by sender and
/// nonce.
struct PoolContent {
    std::map<Address, std::map<uint64_t, PooledTx>> pending;
    std::map<Address, std::map<uint64_t, PooledTx>> queued;
};
struct PoolStatus {
    uint64_t pending = 0;
    uint64_t queued = 0;
};

/// Why a transaction was not taken, in the words that clients parse (docs/spec/rpc.md, section 3).
struct Refusal {
    std::string message;
};

struct AccountInfo {
    uint64_t nonce = 0;
    Uint256 balance;
    Hash code_hash = kEmptyCodeHash;
    Hash storage_root = kEmptyTrieRoot;
};

struct StorageProof {
    Uint256 slot;
    Uint256 value;
    std::vector<Bytes> nodes;  ///< RLP, from the root down
};
struct AccountProof {
    AccountInfo account;  ///< the empty account where there is none
    std::vector<Bytes> nodes;
    std::vector<StorageProof> storage;  ///< in the order of the slots asked for
};

using CallRequest = CallArgs;
struct Overrides {
    StateOverrides accounts;
    BlockOverrides block;
};

struct CallOutcome {
    enum class Status { success, reverted, failed };
    Status status = Status::success;
    Bytes output;  ///< return data, or the data of the revert
    uint64_t gas_used = 0;
    std::vector<Log> logs;
    std::string error;  ///< geth's words when failed: "out of gas", "invalid opcode: INVALID", …
};

struct CallError {
    enum class Kind {
        unknown_block,
        state_unavailable,      ///< pruned, or of a block that never executed here
        invalid_tx,             ///< refused before execution; message in geth's words
        gas_exceeds_allowance,  ///< estimates only: not even the cap or the balance suffices
        reverted,               ///< estimates only; data holds the revert data
        failed,                 ///< estimates only: execution fails at any gas; message says how
        too_slow,               ///< took longer than the node allows; message says how long
        unsupported,
    };
    Kind kind = Kind::unknown_block;
    std::string message;
    Bytes data;
};

struct AccessListOutcome {
    std::vector<AccessTuple> access_list;
    uint64_t gas_used = 0;
    std::string error;  ///< empty when the call succeeds with this list
};

/// How long the work on one request may take, and how large its answer may become.
struct WorkLimits {
    uint64_t bytes = 0;  ///< of JSON, about
    std::function<bool()> is_time_up;
};

/// A block of eth_simulateV1; its calls run in parallel to its transactions.
struct SimulatedBlock {
    struct Call {
        CallOutcome outcome;    ///< its logs may show transfers too
        uint64_t gas_peak = 0;  ///< before refunds
    };
    BlockPtr block;
    std::vector<Call> calls;
};

/// Why a simulation ends without an answer; the message is in geth's words.
struct SimulateError {
    enum class Kind {
        unknown_block,
        state_unavailable,
        too_many_blocks,
        number_order,
        timestamp_order,
        moves_to_itself,  ///< a precompile
        block_gas_reached,
        nonce_too_low,
        nonce_too_high,
        nonce_max,
        fee_cap_too_low,
        intrinsic_gas,
        insufficient_funds,
        init_code_too_large,
        invalid_call,  ///< any other rule that it breaks
        too_slow,
        failed,
    };
    Kind kind = Kind::unknown_block;
    std::string message;
};

struct TraceError {
    enum class Kind {
        unknown_block,
        state_unavailable,
        genesis,  ///< it has no state before it
        refused,  ///< a call; message in geth's words
        too_large,
        too_slow,
        failed,  ///< the block does not execute on the state that is there
    };
    Kind kind = Kind::unknown_block;
    std::string message;
};

/// What a chain's rules are from one fork on (EIP-7910).
struct ForkConfig {
    uint64_t activation_time = 0;  ///< 0: from genesis on
    uint64_t blob_target = 0, blob_max = 0, blob_update_fraction = 0;
    FixedBytes<4> fork_id;
    std::vector<std::pair<std::string, Address>> precompiles, system_contracts;
};
struct ForkConfigs {
    ForkConfig current;                    ///< at the head
    std::optional<ForkConfig> next, last;  ///< both or none
};

enum class StateError { unknown_block, unavailable };

enum class BlobError {
    not_found,  ///< neither here nor at a peer that answered in time
    too_large,  ///< above the limit for one blob
    quota,      ///< the store is full, or what guests may fill of it
    busy,       ///< too many are being fetched
    io,
    out_of_range,
};
/// Guests may fill half of the store with what is kept; anybody on another machine is one.
enum class Uploader : uint8_t { own, guest };
struct BlobInfo {
    Hash id;
    uint64_t size_bytes = 0;
};

struct HeldBlob {
    BlobInfo info;
    bool is_kept = false;  ///< for its owners or, without any, for good; else it may make room
    uint64_t owners = 0;
};

/// Where a blob is that somebody needs.
enum class BlobPlace : uint8_t {
    here,
    sought,  ///< peers are being asked
    absent,  ///< they have been asked for long; what one of them is still giving counts as absent
};

/// Takes one blob bit by bit; nothing is stored unless `finish` succeeds.
class BlobWriter {
public:
    virtual ~BlobWriter() = default;
    [[nodiscard]] virtual Result<Done, BlobError> append(BytesView bytes) = 0;
    [[nodiscard]] virtual Result<BlobInfo, BlobError> finish() = 0;
};

/// A final header and the certificate that makes it so, encoded as docs/spec/consensus.md says.
struct FinalHeader {
    Header header;
    Bytes certificate;
};
/// The last block of an epoch, with what shows the validator set that its state fixes
/// (docs/spec/light.md).
struct BoundaryProof {
    FinalHeader final;
    std::vector<Bytes> witness;
};

struct SyncStatus {
    uint64_t starting_block = 0, current_block = 0, highest_block = 0;
    /// Of a snapshot that is being fetched.
    uint64_t snapshot_chunks = 0, snapshot_chunks_here = 0;
};

struct PeerInfo {
    std::string id;       ///< P2P public key in hexadecimal
    std::string address;  ///< host:port
    bool inbound = false;
    uint64_t finalised_height = 0;
    std::string agent;  ///< what it calls itself
    uint64_t connected_s = 0, round_trip_ms = 0;
    int score = 100;           ///< 100 is spotless, 0 is banned
    std::string last_problem;  ///< why it lost points last, if it did
    std::string source;        ///< where the node has it from: "settings", "book", …
    std::string sentry;        ///< id of the one that it is reached through; empty: none
    bool connected = true;
    uint64_t dropped = 0;  ///< messages that found their queue full or its budget used up
    /// What waits to be sent, by lane.
    std::vector<std::pair<std::string, uint64_t>> queued_bytes;
    std::optional<int64_t> clock_ahead_ms;  ///< of this node's
};

/// This node as others name it.
struct NetworkInfo {
    std::string id;      ///< P2P public key in hexadecimal
    std::string listen;  ///< host:port
    uint64_t addresses_heard = 0, addresses_tried = 0;
};

struct BanInfo {
    std::string id;  ///< as in PeerInfo
    std::string reason;
    uint64_t seconds_left = 0;
};

struct ValidatorInfo {
    Address operator_address;
    PublicKey consensus_key, vrf_key, p2p_key;
    Uint256 stake_wei;
    bool connected = false;
    bool is_self = false;
};

struct NodeStatus {
    uint64_t epoch = 0, view = 0;
    std::string role;      ///< "validator", "candidate" (has keys, in no set now) or "observer"
    std::string verifier;  ///< what checks training here: "cuda <device>", "cpu avx512", "none", …
    uint64_t uptime_s = 0;
    std::string halted;            ///< why the node stands still; empty when it does not
    std::string why_not_voting;    ///< of a validator; empty while it votes
    Address leader;                ///< of the view
    std::string waits_for;         ///< what must happen before the view ends, in words
    std::vector<Address> missing;  ///< validators whose vote it waits for
    std::optional<Address> operator_address{};  ///< of the keys that the node has
    std::optional<uint64_t> disk_free_bytes{};  ///< where the data folder is
    std::optional<int64_t> clock_ahead_ms{};    ///< by how much the peers' clocks are ahead of ours
};

/// Thread-safe: the methods are called from several pool threads at once, and may take as long as a
/// disk read or one EVM execution. Blocks and states once handed out never change.
class Backend {
public:
    virtual ~Backend() = default;

    [[nodiscard]] virtual uint64_t chain_id() const = 0;
    [[nodiscard]] virtual std::string client_version()
        const = 0;  ///< "trainyard/v0.1.0/linux-amd64/gcc12"
    [[nodiscard]] virtual NodeStatus node_status() const = 0;
    [[nodiscard]] virtual std::optional<SyncStatus> syncing() const = 0;  ///< nullopt: in step
    [[nodiscard]] virtual std::vector<PeerInfo> peers() const = 0;
    [[nodiscard]] virtual std::vector<ValidatorInfo> validators() const = 0;
    /// Peers that are refused now.
    [[nodiscard]] virtual std::vector<BanInfo> bans() const { return {}; }
    /// Both refuse where methods that change the node are switched off.
    [[nodiscard]] virtual Result<Done, Refusal> ban(const PublicKey&, uint64_t /*seconds*/,
                                                    const std::string& /*reason*/) {
        return unexpected(Refusal{"this node has no peers"});
    }
    [[nodiscard]] virtual Result<Done, Refusal> unban(const PublicKey&) {
        return unexpected(Refusal{"this node has no peers"});
    }

    /// Those that the settings name and that are not connected.
    [[nodiscard]] virtual std::vector<PeerInfo> away_peers() const { return {}; }
    [[nodiscard]] virtual NetworkInfo network() const { return {}; }
    /// `peer` is "<public key>@host:port" to add; to remove, the key alone will do.
    [[nodiscard]] virtual Result<Done, Refusal> add_peer(const std::string& /*peer*/) {
        return unexpected(Refusal{"this node has no peers"});
    }
    [[nodiscard]] virtual Result<Done, Refusal> remove_peer(const std::string& /*peer*/) {
        return unexpected(Refusal{"this node has no peers"});
    }

    // --- blocks
    /// nullptr: unknown, not canonical though required to be, or not executed here.
    [[nodiscard]] virtual BlockPtr block(const BlockId& id) const = 0;
    /// True for a block that is final and whose body and receipts this node has deleted.
    [[nodiscard]] virtual bool is_pruned(const BlockId& id) const = 0;
    /// Of the oldest blocks with their state, and with body and receipts.
    struct OldestKept {
        uint64_t state = 0, block = 0;
    };
    [[nodiscard]] virtual OldestKept oldest_kept() const = 0;
    /// A canonical header without its body, for scans over long ranges.
    [[nodiscard]] virtual std::optional<Header> header(uint64_t number) const = 0;
    [[nodiscard]] virtual std::optional<TxPlace> find_tx(const Hash& hash) const = 0;
    /// The base fee of the child of `header` (EIP-1559).
    [[nodiscard]] virtual Uint256 next_base_fee(const Header& header) const = 0;
    [[nodiscard]] virtual ForkConfigs fork_configs() const = 0;
    /// The price of blob gas in the block itself (EIP-4844); zero before that fork.
    [[nodiscard]] virtual Uint256 blob_base_fee(const Header& header) const = 0;

    // --- for those who hold no state
    /// The highest final block up to `number` that has a certificate of its own; nullopt if none of
    /// the last hundred has one.
    [[nodiscard]] virtual std::optional<FinalHeader> final_header(uint64_t number) const = 0;
    /// Errors: unknown_block: not final yet; state_unavailable: its state is not kept here.
    [[nodiscard]] virtual Result<BoundaryProof, CallError> boundary(uint64_t epoch) const = 0;

    // --- state after the block with this hash
    [[nodiscard]] virtual Result<std::optional<AccountInfo>, StateError> account(
        const Hash& block_hash, const Address& address) const = 0;
    [[nodiscard]] virtual Result<Uint256, StateError> storage(const Hash& block_hash,
                                                              const Address& address,
                                                              const Uint256& slot) const = 0;
    [[nodiscard]] virtual Result<Bytes, StateError> code(const Hash& block_hash,
                                                         const Address& address) const = 0;
    [[nodiscard]] virtual Result<AccountProof, StateError> proof(
        const Hash& block_hash, const Address& address,
        const std::vector<Uint256>& slots) const = 0;

    // --- execution on top of that state; nothing is kept
    [[nodiscard]] virtual Result<CallOutcome, CallError> call(const Hash& block_hash,
                                                              const CallRequest& request,
                                                              const Overrides& overrides) const = 0;
    /// The least gas limit with which the call succeeds.
    [[nodiscard]] virtual Result<uint64_t, CallError> estimate_gas(
        const Hash& block_hash, const CallRequest& request, const Overrides& overrides) const = 0;
    [[nodiscard]] virtual Result<AccessListOutcome, CallError> create_access_list(
        const Hash& block_hash, const CallRequest& request) const = 0;

    // --- transactions run again, on the state before them
    [[nodiscard]] virtual Result<std::vector<Trace>, TraceError> trace_block(
        const Hash& block_hash, const TraceOptions& options, const WorkLimits& limits) const = 0;
    [[nodiscard]] virtual Result<Trace, TraceError> trace_transaction(
        const TxPlace& place, const TraceOptions& options, const WorkLimits& limits) const = 0;
    [[nodiscard]] virtual Result<Trace, TraceError> trace_call(const Hash& block_hash,
                                                               const CallRequest& request,
                                                               const Overrides& overrides,
                                                               const TraceOptions& options,
                                                               const WorkLimits& limits) const = 0;

    /// `gas_max` bounds all calls together.
    [[nodiscard]] virtual Result<std::vector<SimulatedBlock>, SimulateError> simulate(
        const Hash& block_hash, const SimulateRequest& request, uint64_t gas_max,
        const WorkLimits& limits) const = 0;

    // --- pool
    /// Takes a signed transaction into the pool and spreads it.
    [[nodiscard]] virtual Result<Hash, Refusal> submit(const Tx& tx) = 0;
    [[nodiscard]] virtual std::optional<PooledTx> pooled_tx(const Hash& hash) const = 0;
    /// Of one sender, or all.
    [[nodiscard]] virtual PoolContent pool_content(const std::optional<Address>& of) const = 0;
    [[nodiscard]] virtual PoolStatus pool_status() const = 0;
    /// The nonce after the account's consecutive pending transactions.
    [[nodiscard]] virtual uint64_t pending_nonce(const Address& address) const = 0;

    // --- blobs; ids are those of docs/spec/wire.md
    /// `owner`, 32 bytes that only it knows: the blob is kept until it releases it; else for good.
    [[nodiscard]] virtual Result<std::unique_ptr<BlobWriter>, BlobError> begin_blob(
        const std::optional<Hash>& owner, Uploader who) = 0;
    [[nodiscard]] virtual Result<Done, BlobError> release_blob(const Hash& id,
                                                               const Hash& owner) = 0;
    /// For the operator. Blobs stored here, those behind an id in the order of ids.
    [[nodiscard]] virtual Result<std::vector<HeldBlob>, Refusal> held_blobs(
        const Hash& after, size_t count_max) const = 0;
    /// For the operator: nobody needs the blob any more, whoever it was kept for.
    [[nodiscard]] virtual Result<Done, Refusal> release_blob(const Hash& id) = 0;
    /// The blob if it is stored here.
    [[nodiscard]] virtual Result<BlobInfo, BlobError> blob_info(const Hash& id) = 0;
    /// As `blob_info`, but asks peers for an absent one and waits for it, within limits. `busy`: as
    /// many wait already as may, of all or of `client`; empty is nobody in particular.
    [[nodiscard]] virtual Result<BlobInfo, BlobError> fetch_blob(const std::string& client,
                                                                 const Hash& id) = 0;
    /// Asks peers for a blob that is not stored here, and does not wait.
    [[nodiscard]] virtual BlobPlace seek_blob(const Hash& id) = 0;
    /// At most `length` bytes from `offset` of a blob stored here; shorter only at its end.
    [[nodiscard]] virtual Result<Bytes, BlobError> read_blob(const Hash& id, uint64_t offset,
                                                             uint64_t length) const = 0;
};

}  // namespace trainyard::rpc
