// SPDX-License-Identifier: Apache-2.0
// GeneralStateTests as both ethereum/tests and execution-spec-tests write them.
#include "tests/conformance/statetest.hpp"

#include "consensus/rules/block.hpp"
#include "consensus/transition/transaction.hpp"
#include "core/hash.hpp"
#include "core/rlp.hpp"
#include "tests/conformance/fixture.hpp"
#include "tests/conformance/refusals.hpp"

namespace trainyard::conformance {
namespace {

using consensus::BlockEnv;
using consensus::ChainConfig;
using consensus::ExecutionContext;

std::vector<AccessTuple> access_list_of(const json::value& value) {
    std::vector<AccessTuple> list;
    if (!value.is_array()) return list;
    for (const auto& item : value.get_array()) {
        const auto& o = item.as_object();
        AccessTuple tuple{fixed_of<Address>(o.at("address")), {}};
        for (const auto& key : o.at("storageKeys").as_array())
            tuple.storage_keys.push_back(to_hash(number_of(key)));
        list.push_back(std::move(tuple));
    }
    return list;
}

std::vector<Authorization> authorizations_of(const json::array& array) {
    std::vector<Authorization> list;
    for (const auto& item : array) {
        const auto& o = item.as_object();
        Authorization a;
        a.chain_id = number_at(o, "chainId");
        a.address = fixed_of<Address>(o.at("address"));
        a.nonce = small_number_at(o, "nonce");
        const auto parity =
            find(o, "yParity") != nullptr ? number_at(o, "yParity") : number_at(o, "v");
        a.y_parity = parity > Uint256(255) ? 255 : static_cast<uint8_t>(parity.low());
        a.r = number_at(o, "r");
        a.s = number_at(o, "s");
        list.push_back(a);
    }
    return list;
}

/// Prices and lists, which decide the type.
void read_typed_fields(Tx& tx, const json::object& t, size_t data_index, uint64_t chain_id) {
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = number_at(t, "gasPrice");
    if (const auto* lists = find(t, "accessLists")) {
        const auto& array = lists->as_array();
        if (data_index < array.size() && array[data_index].is_array()) {
            tx.type = TxType::access_list;
            tx.access_list = access_list_of(array[data_index]);
        }
    }
    if (find(t, "maxFeePerGas") != nullptr) {
        tx.type = TxType::dynamic_fee;
        tx.max_fee_per_gas = number_at(t, "maxFeePerGas");
        tx.max_priority_fee_per_gas = number_at(t, "maxPriorityFeePerGas");
    }
    if (find(t, "maxFeePerBlobGas") != nullptr || find(t, "blobVersionedHashes") != nullptr) {
        tx.type = TxType::blob;
        tx.max_fee_per_blob_gas = number_at(t, "maxFeePerBlobGas");
        if (const auto* hashes = find(t, "blobVersionedHashes"))
            for (const auto& h : hashes->as_array()) tx.blob_hashes.push_back(fixed_of<Hash>(h));
    }
    if (const auto* list = find(t, "authorizationList")) {
        tx.type = TxType::set_code;
        tx.authorizations = authorizations_of(list->as_array());
    }
    if (tx.type != TxType::legacy) tx.chain_id = chain_id;
}

const json::value& pick(const json::object& t, const char* field, const json::object& indexes,
                        const char* index) {
    return t.at(field).as_array().at(small_number_at(indexes, index));
}

/// "0x:bigint 0x1…": more than 256 bits, which no transaction on the wire can hold.
bool is_oversized(const json::value& value) {
    return value.is_string() && value.get_string().starts_with("0x:bigint");
}

Tx tx_of(const json::object& t, const json::object& indexes, uint64_t chain_id) {
    Tx tx;
    tx.nonce = small_number_at(t, "nonce");
    tx.gas_limit = small_number_of(pick(t, "gasLimit", indexes, "gas"));
    tx.value = number_of(pick(t, "value", indexes, "value"));
    tx.data = bytes_of(pick(t, "data", indexes, "data"));
    const auto* to = find(t, "to");
    if (to != nullptr && !to->is_null() && !bytes_of(*to).empty()) tx.to = fixed_of<Address>(*to);
    read_typed_fields(tx, t, small_number_at(indexes, "data"), chain_id);
    return tx;
}

Address sender_of(const json::object& t) {
    if (const auto* sender = find(t, "sender")) return fixed_of<Address>(*sender);
    const auto address = address_of(fixed_of<SecretKey>(t.at("secretKey")));
    if (!address) throw BadVector{"the secret key is none"};
    return *address;
}

BlockEnv env_from(const json::object& env, const ChainConfig& config) {
    const auto& fork = config.forks.front();
    const auto& rules = vm::rules_of(fork.revision);
    BlockEnv out;
    out.number = small_number_at(env, "currentNumber");
    out.timestamp = small_number_at(env, "currentTimestamp");
    out.gas_limit = small_number_at(env, "currentGasLimit");
    out.beneficiary = fixed_of<Address>(env.at("currentCoinbase"));
    // Where it is missing, the clients that made the vectors take 10.
    if (rules.fee_market) out.base_fee = number_at(env, "currentBaseFee", 10);
    out.prev_randao =
        rules.prev_randao ? number_at(env, "currentRandom") : number_at(env, "currentDifficulty");
    out.blob_base_fee =
        consensus::blob_base_fee(small_number_at(env, "currentExcessBlobGas"), fork.blobs);
    return out;
}

Hash hash_of_logs(const std::vector<Log>& logs) {
    rlp::Writer out;
    out.begin_list();
    for (const auto& log : logs) {
        out.begin_list().fixed(log.address).begin_list();
        for (const auto& topic : log.topics) out.fixed(topic);
        out.end_list().bytes(log.data).end_list();
    }
    return keccak256(out.end_list().take());
}

/// The vectors' reference clients credit the miner with nothing at the end, which touches it.
state::StateDiff with_touched_miner(state::StateDiff diff, const MemoryWorld& world,
                                    const ExecutionContext& context) {
    const auto& miner = context.env.beneficiary;
    const auto account = state::OverlayView(world, diff).account(miner);
    const bool vanishes = context.rules().empty_accounts_vanish;
    if (!account && !vanishes) diff.accounts[miner] = state::AccountChange();
    if (account && vanishes && account->nonce == 0 && account->balance.is_zero() &&
        account->code_hash == kEmptyCodeHash)
        diff.accounts[miner] = std::nullopt;
    return diff;
}

struct Case {
    const json::object& test;
    const json::object& post;
    const ChainConfig& config;
    const MemoryWorld& world;
};

Hash hash_of_decimal(uint64_t number) {
    return keccak256(as_bytes(std::to_string(number)));
}

/// The signed transaction against the one that the fields gave; empty if they are the same.
std::string check_encoded(BytesView encoded, Tx tx, const Address& sender) {
    const auto decoded = decode_tx(encoded);
    if (!decoded) return "txbytes do not decode: " + std::string(to_text(decoded.error()));
    const auto recovered = recover_sender(*decoded);
    if (!recovered || *recovered != sender) return "txbytes give another sender";
    tx.y_parity = decoded->y_parity;
    tx.r = decoded->r;
    tx.s = decoded->s;
    if (tx.type == TxType::legacy) tx.chain_id = decoded->chain_id;
    if (tx != *decoded) return "txbytes give another transaction";
    return encode_tx(*decoded) == Bytes(encoded.begin(), encoded.end())
               ? ""
               : "txbytes encode differently";
}

/// Empty if all is as it should be, else what differs.
std::string run_case(const Case& c) {
    const ExecutionContext context{c.config, env_from(object_at(c.test, "env"), c.config),
                                   hash_of_decimal};
    const auto& t = object_at(c.test, "transaction");
    const auto& indexes = object_at(c.post, "indexes");
    const auto* refused = find(c.post, "expectException");
    if (refused != nullptr && is_oversized(pick(t, "value", indexes, "value")))
        return is_refused_as(refused->as_string(), undecodable("value"))
                   ? ""
                   : "the value has more than 256 bits";
    const Tx tx = tx_of(t, indexes, c.config.chain_id);
    const auto sender = sender_of(t);
    if (const auto* encoded = find(c.post, "txbytes"); encoded != nullptr && refused == nullptr)
        if (auto difference = check_encoded(bytes_of(*encoded), tx, sender); !difference.empty())
            return difference;
    const auto outcome = consensus::apply_transaction(c.world, context, tx, sender);
    if (outcome && refused != nullptr)
        return "expected refusal " + std::string(refused->as_string()) + ", found execution";
    if (!outcome && refused == nullptr)
        return "expected execution, found " + std::string(to_text(outcome.error()));
    if (!outcome && !is_refused_as(refused->as_string(), refusal_of(outcome.error())))
        return "expected refusal " + std::string(refused->as_string()) +
               ", found refusal: " + std::string(to_text(outcome.error()));
    const auto diff =
        outcome ? with_touched_miner(outcome->diff, c.world, context) : state::StateDiff();
    const Hash root = c.world.root_after(diff);
    const auto expected = fixed_of<Hash>(c.post.at("hash"));
    if (root != expected)
        return "expected root " + to_hex0x(expected.bytes) + ", found " + to_hex0x(root.bytes);
    const Hash logs = hash_of_logs(outcome ? outcome->receipt.logs : std::vector<Log>());
    const auto expected_logs = fixed_of<Hash>(c.post.at("logs"));
    if (logs != expected_logs)
        return "expected logs " + to_hex0x(expected_logs.bytes) + ", found " + to_hex0x(logs.bytes);
    return "";
}

void run_test(const json::object& test, const std::string& label, const Options& options,
              Tally& tally) {
    const auto* own = find(test, "config");
    MemoryWorld world;
    world.apply(accounts_of(object_at(test, "pre")));
    for (const auto& [fork, posts] : object_at(test, "post")) {
        if (!options.fork.empty() && options.fork != fork) continue;
        const auto config = config_named(fork, own == nullptr ? nullptr : &own->as_object());
        for (const auto& post : posts.as_array()) {
            std::string difference = "unknown fork";
            if (config) {
                try {
                    difference = run_case({test, post.as_object(), *config, world});
                } catch (const BadVector& bad) {
                    difference = "bad vector: " + bad.what;
                } catch (const std::exception& e) {  // a key is missing or of another kind
                    difference = std::string("bad vector: ") + e.what();
                }
            }
            const auto* indexes = find(post.as_object(), "indexes");
            tally.expect(difference.empty(),
                         label + " " + std::string(fork) + " " +
                             (indexes != nullptr ? json::serialize(*indexes) : "") + ": " +
                             difference);
        }
    }
}

}  // namespace

Tally run_state_file(const json::value& file, const std::string& path, const Options& options) {
    Tally tally;
    for (const auto& [name, test] : file.as_object()) {
        if (is_excluded(path, name, options)) {
            ++tally.excluded;
            continue;
        }
        run_test(test.as_object(), path + " " + std::string(name), options, tally);
    }
    return tally;
}

}  // namespace trainyard::conformance
