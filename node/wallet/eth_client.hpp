// SPDX-License-Identifier: Apache-2.0
// A node's JSON-RPC as typed calls: state, transactions, receipts, logs and blobs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/block.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"
#include "node/wallet/error.hpp"

namespace trainyard::node::wallet {

template <class T>
using Answer = Result<T, WalletError>;

struct TxReceipt {
    Hash tx;
    uint64_t block = 0;
    bool success = false;
    uint64_t gas_used = 0;
    Uint256 gas_price_wei;  ///< effective
    std::optional<Address> created;
    std::vector<Log> logs;
};

struct PlacedLog {
    Log log;
    uint64_t block = 0;
    Hash tx;
};

struct LogQuery {
    uint64_t from_block = 0, to_block = 0;
    Address address;
    std::vector<std::optional<Hash>> topics;
};

struct BlockSummary {
    uint64_t number = 0;
    Hash hash, state_root;
    uint64_t timestamp = 0;
    Uint256 base_fee_wei;
};

struct CallSpec {
    std::optional<Address> from;
    std::optional<Address> to;
    Uint256 value;
    Bytes data;
};

/// Where a blob is: at the node, asked for at its peers by now, or asked for there long enough to
/// say that nobody has it.
enum class BlobPlace : uint8_t { here, sought, absent };

/// What sending transactions needs of a node. Every call errs with unreachable, timeout or
/// malformed besides what it names.
class TxChain {
public:
    virtual ~TxChain() = default;
    [[nodiscard]] virtual Answer<uint64_t> chain_id() = 0;
    /// `tag`: "latest", "finalized" or a quantity.
    [[nodiscard]] virtual Answer<BlockSummary> block(std::string_view tag) = 0;
    [[nodiscard]] virtual Answer<Uint256> balance(const Address& who) = 0;
    /// As the latest block has it.
    [[nodiscard]] virtual Answer<uint64_t> nonce(const Address& who) = 0;
    /// Counting transactions that wait in the pool.
    [[nodiscard]] virtual Answer<uint64_t> next_nonce(const Address& who) = 0;
    /// Error reverted: text tells the reason, `eth_call` at the latest block.
    [[nodiscard]] virtual Answer<Bytes> call(const CallSpec& call) = 0;
    [[nodiscard]] virtual Answer<uint64_t> estimate_gas(const CallSpec& call) = 0;
    /// The hash; rpc errors carry the node's words, and the transaction is not in its pool.
    [[nodiscard]] virtual Answer<Hash> send_raw(BytesView signed_tx) = 0;
    [[nodiscard]] virtual Answer<std::optional<TxReceipt>> receipt(const Hash& tx) = 0;
};

/// Thread-safe.
class EthClient final : public TxChain {
public:
    [[nodiscard]] static Answer<std::unique_ptr<EthClient>> open(std::string_view url);
    ~EthClient() override;

    [[nodiscard]] Answer<uint64_t> chain_id() override;
    [[nodiscard]] Answer<uint64_t> block_number();
    [[nodiscard]] Answer<BlockSummary> block(std::string_view tag) override;
    [[nodiscard]] Answer<Uint256> balance(const Address& who) override;
    [[nodiscard]] Answer<uint64_t> nonce(const Address& who) override;
    [[nodiscard]] Answer<uint64_t> next_nonce(const Address& who) override;
    [[nodiscard]] Answer<Bytes> call(const CallSpec& call) override;
    [[nodiscard]] Answer<uint64_t> estimate_gas(const CallSpec& call) override;
    [[nodiscard]] Answer<Hash> send_raw(BytesView signed_tx) override;
    [[nodiscard]] Answer<std::optional<TxReceipt>> receipt(const Hash& tx) override;
    [[nodiscard]] Answer<std::vector<PlacedLog>> logs(const LogQuery& query);

    /// Stores a blob at the node and gives its id (PUT /blob): for good, or until its owner, which
    /// only the owner knows, releases it.
    [[nodiscard]] Answer<Hash> put_blob(BytesView content, const std::optional<Hash>& owner = {});
    [[nodiscard]] Answer<Done> release_blob(const Hash& id, const Hash& owner);
    /// The blob's bytes, fetched from peers by the node if need be. Errors: not_found, too_large.
    [[nodiscard]] Answer<Bytes> get_blob(const Hash& id, uint64_t size_bytes_max);

    /// Lets the node look for a blob, and does not wait.
    [[nodiscard]] Answer<BlobPlace> seek_blob(const Hash& id);

    /// Any method; `params` and the answer are JSON texts.
    [[nodiscard]] Answer<std::string> raw(std::string_view method, std::string_view params);
    [[nodiscard]] std::string url() const;
    /// Every further call errs with `closed`; for shutting down from another thread.
    void close();

private:
    struct Impl;
    explicit EthClient(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// What a revert says: Error(string), Panic(uint256), or a custom error by the name that
/// market.hpp knows; else its bytes.
[[nodiscard]] std::string revert_text(BytesView data);

}  // namespace trainyard::node::wallet
