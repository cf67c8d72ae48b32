// SPDX-License-Identifier: Apache-2.0
// `trainyard light`: the machine of consensus/light fed from a node's JSON-RPC.
#include <chrono>
#include <thread>

#include <boost/json.hpp>

#include "consensus/light/light.hpp"
#include "node/cli/commands.hpp"
#include "node/cli/node_setup.hpp"
#include "node/wallet/eth_client.hpp"
#include "node/wallet/files.hpp"
#include "node/wallet/json_util.hpp"
#include "state/trie.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
namespace cl = consensus::light;

constexpr size_t kStoreBytesMax = size_t{1} << 20;
constexpr int kStoreFormat = 1;

struct Final {
    Header header;
    consensus::bft::Certificate certificate;
};

Result<json::value, std::string> ask(wallet::EthClient& client, std::string_view method,
                                     const std::string& params) {
    const auto text = client.raw(method, params);
    if (!text) return unexpected(text.error().text);
    auto value = wallet::parse_json(*text);
    if (!value) return unexpected(std::string(method) + ": the node's answer is no JSON");
    return std::move(*value);
}

Result<Final, std::string> final_from(const json::value& value) {
    const auto header_bytes = wallet::hex_member(value, "header");
    const auto certificate_bytes = wallet::hex_member(value, "certificate");
    if (!header_bytes || !certificate_bytes)
        return unexpected(std::string("the node's answer has no header and certificate"));
    auto header = decode_header(*header_bytes);
    auto certificate = consensus::bft::decode_certificate(*certificate_bytes);
    if (!header || !certificate)
        return unexpected(std::string("the node's header or certificate does not decode"));
    return Final{std::move(*header), std::move(*certificate)};
}

Result<std::vector<Bytes>, std::string> nodes_from(const json::value& object,
                                                   std::string_view name) {
    const auto* list = wallet::member(object, name);
    if (list == nullptr || !list->is_array() || list->get_array().size() > cl::kWitnessNodesMax)
        return unexpected("the node's answer has no list '" + std::string(name) + "'");
    std::vector<Bytes> out;
    for (const auto& item : list->get_array()) {
        auto bytes = wallet::data(&item);
        if (!bytes) return unexpected("'" + std::string(name) + "' has an item that is no data");
        out.push_back(std::move(*bytes));
    }
    return out;
}

json::array set_json(const consensus::ValidatorSet& set) {
    json::array out;
    for (const auto& v : set.all())
        out.push_back(json::object{{"address", to_hex0x(v.address.bytes)},
                                   {"consensusKey", to_hex0x(v.consensus_key.bytes)},
                                   {"vrfKey", to_hex0x(v.vrf_key.bytes)},
                                   {"p2pKey", to_hex0x(v.p2p_key.bytes)},
                                   {"weightGwei", std::to_string(v.stake_gwei)}});
    return out;
}

consensus::SetPtr set_from(const json::value* list) {
    if (list == nullptr || !list->is_array()) return nullptr;
    std::vector<consensus::Validator> members;
    for (const auto& item : list->get_array()) {
        const auto address = wallet::hex_member(item, "address");
        const auto consensus_key = wallet::hex_member(item, "consensusKey");
        const auto vrf_key = wallet::hex_member(item, "vrfKey");
        const auto p2p_key = wallet::hex_member(item, "p2pKey");
        const auto weight = wallet::text_member(item, "weightGwei");
        if (!address || !consensus_key || !vrf_key || !p2p_key || !weight) return nullptr;
        const auto who = fixed_from<Address>(*address);
        const auto key = fixed_from<PublicKey>(*consensus_key);
        const auto vrf = fixed_from<PublicKey>(*vrf_key);
        const auto p2p = fixed_from<PublicKey>(*p2p_key);
        const auto wei = parse_coins(*weight + "gwei");
        if (!who || !key || !vrf || !p2p || !wei) return nullptr;
        const Uint256 gwei = *wei / Uint256(1'000'000'000);
        if (!gwei.fits_u64()) return nullptr;
        members.push_back({*who, *key, *vrf, *p2p, gwei.low()});
    }
    auto set = consensus::ValidatorSet::make(std::move(members));
    return set ? std::make_shared<const consensus::ValidatorSet>(std::move(*set)) : nullptr;
}

struct Checkpoint {
    uint64_t number = 0;
    Hash hash;
};

Result<Checkpoint, std::string> parse_checkpoint(const std::string& text) {
    const auto colon = text.find(':');
    const auto hash = colon == std::string::npos
                          ? std::nullopt
                          : fixed_from_hex<Hash>(std::string_view(text).substr(colon + 1));
    const auto number = parse_coins(text.substr(0, colon) + "wei");
    if (!hash || !number || !number->fits_u64())
        return unexpected("--checkpoint '" + text + "' must be NUMBER:HASH");
    return Checkpoint{number->low(), *hash};
}

/// What one run of the command knows and does.
class Follower {
public:
    Follower(const Output& out, const LightArgs& args, NodeSetup setup, wallet::EthClient& client)
        : out_(out),
          args_(args),
          setup_(std::move(setup)),
          client_(client),
          light_(setup_.chain, cl::LightChain::at_genesis(identity(), *setup_.validators)) {}

    Result<Done, std::string> begin() {
        if (!args_.checkpoint.empty()) {
            auto checkpoint = parse_checkpoint(args_.checkpoint);
            if (!checkpoint) return unexpected(checkpoint.error());
            if (checkpoint->number % setup_.chain.epoch_length != 0)
                return unexpected("block " + std::to_string(checkpoint->number) +
                                  " is no boundary; those of this chain are multiples of " +
                                  std::to_string(setup_.chain.epoch_length));
            checkpoint_ = *checkpoint;
        }
        if (!args_.store.empty() && wallet::file_exists(args_.store))
            if (auto done = load(); !done) return done;
        return checkpoint_ ? check_reach() : Done{};
    }

    /// Whether --checkpoint was compared, where it was given.
    [[nodiscard]] bool is_checked() const { return !checkpoint_ || has_compared_; }

    /// Up to the newest final block; true if that is another one than last time.
    Result<bool, std::string> advance() {
        for (;;) {
            auto more = take_boundary();
            if (!more) return unexpected(more.error());
            if (!*more) break;
        }
        auto answer = ask(client_, "yard_finality", "[]");
        if (!answer) return unexpected(answer.error());
        if (answer->is_null()) return false;
        auto found = final_from(*answer);
        if (!found) return unexpected(found.error());
        if (head_ && found->header.number <= head_->number) return false;
        // The boundary itself is the last block of its epoch and was taken above.
        const Hash hash = hash_header(found->header);
        if (hash != boundary_hash_)
            if (auto done = light_.verify_final(found->header, found->certificate); !done)
                return unexpected("block " + std::to_string(found->header.number) +
                                  " of the node: " + std::string(to_text(done.error())));
        head_ = found->header;
        return true;
    }

    Result<Done, std::string> tell() {
        const auto& set = *light_.at().current;
        const Hash hash = hash_header(*head_);
        json::object object{{"number", head_->number},
                            {"hash", to_hex0x(hash.bytes)},
                            {"stateRoot", to_hex0x(head_->state_root.bytes)},
                            {"timestamp", head_->timestamp},
                            {"epoch", light_.at().epoch.value},
                            {"validators", set.size()}};
        std::string text = green("final") + " " + std::to_string(head_->number) + "  " +
                           to_hex0x(hash.bytes) + "  epoch " +
                           std::to_string(light_.at().epoch.value) + ", " +
                           std::to_string(set.size()) + " validators";
        json::array accounts;
        for (const auto& who : args_.accounts) {
            auto account = prove(who);
            if (!account) return unexpected(account.error());
            text += "\n  " + who + "  " + in_coins(account->balance) + ", nonce " +
                    std::to_string(account->nonce) + "  (proven)";
            accounts.push_back(json::object{{"address", who},
                                            {"balanceWei", to_decimal(account->balance)},
                                            {"nonce", account->nonce}});
        }
        if (!accounts.empty()) object["accounts"] = std::move(accounts);
        out_.line(out_.json ? json::serialize(object) : text);
        return Done{};
    }

    [[nodiscard]] bool has_head() const { return head_.has_value(); }

private:
    [[nodiscard]] consensus::bft::ChainIdentity identity() const {
        return {setup_.chain.chain_id, setup_.genesis_hash};
    }

    /// A checkpoint that is not compared would protect nobody, and look as if it did.
    Result<Done, std::string> check_reach() const {
        const uint64_t next =
            consensus::boundary_of(light_.at().epoch, setup_.chain.epoch_length).value;
        if (checkpoint_->number >= next) return Done{};
        return unexpected(
            "--checkpoint " + std::to_string(checkpoint_->number) +
            " cannot be compared any more: the next boundary is block " + std::to_string(next) +
            (light_.at().epoch.value == 0
                 ? ""
                 : "; leave it out, or delete " + args_.store + " to begin from genesis"));
    }

    /// False: the node has no further boundary yet.
    Result<bool, std::string> take_boundary() {
        const auto epoch = light_.at().epoch.value;
        auto answer = ask(client_, "yard_boundary", "[\"" + to_quantity(Uint256(epoch)) + "\"]");
        if (!answer) return unexpected(answer.error());
        if (answer->is_null()) return false;
        auto found = final_from(*answer);
        if (!found) return unexpected(found.error());
        auto witness = nodes_from(*answer, "witness");
        if (!witness) return unexpected(witness.error());
        const Hash hash = hash_header(found->header);
        if (checkpoint_ && checkpoint_->number == found->header.number && checkpoint_->hash != hash)
            return unexpected("block " + std::to_string(checkpoint_->number) + " is " +
                              to_hex0x(hash.bytes) +
                              ", not that of --checkpoint: the node is on another chain");
        has_compared_ = has_compared_ || (checkpoint_ && checkpoint_->hash == hash);
        const auto done = light_.advance({found->header, found->certificate, std::move(*witness)});
        if (!done)
            return unexpected("the last block of epoch " + std::to_string(epoch) + ": " +
                              std::string(to_text(done.error())) +
                              "; the node is wrong, lies, or is of another chain than the "
                              "genesis file: ask another");
        head_ = found->header;
        boundary_hash_ = hash;
        out_.say("epoch " + std::to_string(epoch) + " ends with block " +
                 std::to_string(found->header.number) + "; " +
                 std::to_string(light_.at().next->size()) + " validators vote from epoch " +
                 std::to_string(epoch + 2) + " on");
        if (auto saved = save(); !saved) return unexpected(saved.error());
        return true;
    }

    Result<state::Account, std::string> prove(const std::string& text) {
        const auto who = fixed_from_hex<Address>(text);  // one, as the command line has seen
        auto answer = ask(client_, "eth_getProof",
                          "[\"" + to_hex0x(who->bytes) + "\",[],\"" +
                              to_quantity(Uint256(head_->number)) + "\"]");
        if (!answer) return unexpected(answer.error());
        auto nodes = nodes_from(*answer, "accountProof");
        if (!nodes) return unexpected(nodes.error());
        const auto shown =
            state::verify_proof(head_->state_root, keccak256(who->bytes).bytes, *nodes);
        if (!shown)
            return unexpected(text + ": the node's proof does not fit the state root of block " +
                              std::to_string(head_->number));
        if (!*shown) return state::Account{};
        const auto account = state::decode_account(**shown);
        if (!account) return unexpected(text + ": the proven account does not decode");
        return *account;
    }

    Result<Done, std::string> save() const {
        if (args_.store.empty()) return Done{};
        const auto& at = light_.at();
        const json::object object{{"format", kStoreFormat},
                                  {"genesis", to_hex0x(setup_.genesis_hash.bytes)},
                                  {"epoch", at.epoch.value},
                                  {"current", set_json(*at.current)},
                                  {"next", set_json(*at.next)}};
        if (auto done = wallet::write_text(args_.store, json::serialize(object) + "\n"); !done)
            return unexpected(done.error().text);
        return Done{};
    }

    Result<Done, std::string> load() {
        const auto wrong = [this](const std::string& why) {
            return unexpected(args_.store + ": " + why + "; delete it to begin from genesis");
        };
        const auto text = wallet::read_text(args_.store, kStoreBytesMax);
        if (!text) return unexpected(text.error().text);
        const auto value = wallet::parse_json(*text);
        if (!value || wallet::number_member(*value, "format") != kStoreFormat)
            return wrong("not what `trainyard light` writes");
        if (wallet::text_member(*value, "genesis") != to_hex0x(setup_.genesis_hash.bytes))
            return wrong("of another chain");
        const auto epoch = wallet::number_member(*value, "epoch");
        auto current = set_from(wallet::member(*value, "current"));
        auto next = set_from(wallet::member(*value, "next"));
        if (!epoch || !current || !next) return wrong("damaged");
        light_ = cl::LightChain(setup_.chain,
                                {identity(), {*epoch}, std::move(current), std::move(next)});
        return Done{};
    }

    const Output& out_;
    const LightArgs& args_;
    const NodeSetup setup_;
    wallet::EthClient& client_;
    cl::LightChain light_;
    std::optional<Checkpoint> checkpoint_;
    bool has_compared_ = false;
    std::optional<Header> head_;
    Hash boundary_hash_;
};

}  // namespace

int run_light(const Output& out, const LightArgs& args) {
    config::NodeConfig config;
    config.genesis = args.genesis;
    auto setup = read_setup(config);
    if (!setup) return out.fail(setup.error());
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text);
    Follower follower(out, args, std::move(*setup), **client);
    if (auto begun = follower.begin(); !begun) return out.fail(begun.error());
    for (;;) {
        const auto is_new = follower.advance();
        if (!is_new) return out.fail(is_new.error());
        if (!follower.is_checked()) {
            if (!args.follow)
                return out.fail("the node has not got to the block of --checkpoint yet");
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
            continue;
        }
        if (*is_new || (!args.follow && follower.has_head()))
            if (auto told = follower.tell(); !told) return out.fail(told.error());
        if (!args.follow) {
            if (!follower.has_head()) return out.fail("the node has no final block yet");
            return kOk;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
}

}  // namespace trainyard::node::cli
