// SPDX-License-Identifier: Apache-2.0
// A line for each thing that keeps nodes from working, or validators from voting in time.
#include "node/cli/node_check.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/timex.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "node/cli/check_report.hpp"
#include "node/cli/machine.hpp"
#include "node/cli/node_command.hpp"
#include "node/cli/node_setup.hpp"
#include "node/runtime/process.hpp"

namespace trainyard::node::cli {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
/// The node without its verifiers: what requests and answers of clients and peers may take at most
/// (three times 512 MiB), and its caches.
constexpr uint64_t kNodeBytes = 2 * kGiB;

class Check {
public:
    Check(const Output& out, const config::NodeConfig& config) : report_(out), config_(config) {}

    int run() {
        report_.show(settings());
        report_.show(processors());
        report_.show(memory());
        report_.show(disk());
        report_.show(syncs());
        report_.show(files());
        report_.show(clock());
        report_.show(port("p2p port", "p2p.port", config_.p2p_addr, config_.p2p_port));
        report_.show(port("http port", "http.port", config_.http_addr, config_.http_port));
        if (audits())
            report_.show(self_test_line(verify::choose_backend({config_.verifier_threads, true}),
                                        "its answers to audits would be fined"));
        return report_.exit_code();
    }

private:
    [[nodiscard]] bool audits() const { return !config_.keys.empty() && config_.verifier; }

    CheckLine settings() const {
        CheckLine line{"settings", "", "a genesis and, for a validator, its keys"};
        const auto setup = read_setup(config_);
        line.passed = setup.has_value();
        if (!line.passed) {
            line.actual = "they cannot be used";
            line.advice = setup.error();
            return line;
        }
        line.actual = "chain " + std::to_string(setup->genesis.chain_id) + ", block 0 is " +
                      to_hex0x(setup->genesis_hash.bytes) +
                      (setup->keys ? ", with keys of a validator" : ", no keys: it follows");
        return line;
    }

    /// Consensus and JSON-RPC want one beside the verifier's.
    CheckLine processors() const {
        const unsigned there = std::max(std::thread::hardware_concurrency(), 1U);
        const unsigned needed = 1 + (audits() ? config_.verifier_threads : 0);
        CheckLine line{"processors", std::to_string(there),
                       std::to_string(needed) + (audits() ? " (verifier.threads, and one)" : "")};
        line.passed = there >= needed;
        if (!line.passed) line.advice = "lower verifier.threads, or votes come late during audits";
        line.values = {{"count", there}};
        return line;
    }

    /// Audits and replays have a process each; a third is there while a dispute is open.
    CheckLine memory() const {
        const uint64_t verifiers = uint64_t{config_.verifier_memory_mb} << 21;
        const uint64_t needed = kNodeBytes + (audits() ? verifiers : 0), there = total_memory();
        CheckLine line{
            "memory", size_text(there) + " in all",
            size_text(needed) + (audits() ? " (2 GiB, and twice verifier.memory-mb)" : "")};
        line.passed = there >= needed;
        if (!line.passed)
            line.advice = audits() ? "add memory, or lower verifier.memory-mb: audits of models "
                                     "that need more then stay unanswered, which is fined"
                                   : "add memory";
        line.values = {{"bytes", there}};
        return line;
    }

    static uint64_t total_memory() {
        return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
               static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    }

    CheckLine disk() const {
        constexpr uint64_t kChainBytes = 20 * kGiB;
        const uint64_t needed = kChainBytes + uint64_t{config_.blob_quota_gb} * 1'000'000'000;
        const auto free = free_disk_bytes(config_.datadir);
        CheckLine line{"disk", free ? size_text(*free) + " free" : "the system does not say",
                       size_text(needed) + " (20 GiB for the chain, and blobs.quota-gb)"};
        line.passed = free && *free >= needed;
        if (!line.passed) line.advice = "give datadir a larger disk, or lower blobs.quota-gb";
        line.values = {{"freeBytes", free.value_or(0)}};
        return line;
    }

    /// A vote leaves when it is on the disk (ADR 010), so this is part of every block's time.
    CheckLine syncs() const {
        constexpr double kMedianMax_ms = 10;
        CheckLine line{"disk syncs", "", "10 ms for half of them: each vote waits for one"};
        const std::filesystem::path folder = existing_folder(config_.datadir);
        const auto times_ms = sync_times_ms(folder);
        line.passed = !times_ms.empty();
        if (!line.passed) {
            line.actual = "cannot write into " + folder.string();
            line.advice = "give datadir a folder that this user may write into";
            return line;
        }
        const double median = times_ms[times_ms.size() / 2], most = times_ms.back();
        line.passed = median <= kMedianMax_ms;
        line.actual =
            number_text(median, 1) + " ms for half of them, " + number_text(most, 1) + " at most";
        if (!line.passed) line.advice = "use a local SSD or NVMe disk, not a network's";
        line.values = {{"medianMs", median}, {"mostMs", most}};
        return line;
    }

    /// Sorted; empty where the folder takes no file.
    static std::vector<double> sync_times_ms(const std::filesystem::path& folder) {
        constexpr int kSyncs = 100;
        std::string name = (folder / "trainyard-check-XXXXXX").string();
        const int fd = ::mkstemp(name.data());
        std::vector<double> out;
        const std::array<uint8_t, 4096> page{};
        for (int k = 0; fd >= 0 && k < kSyncs; ++k) {
            const double start = seconds_now();
            if (::write(fd, page.data(), page.size()) != static_cast<ssize_t>(page.size()) ||
                ::fdatasync(fd) != 0) {
                out.clear();
                break;
            }
            out.push_back(1e3 * (seconds_now() - start));
        }
        if (fd >= 0) ::unlink(name.c_str()), ::close(fd);
        std::sort(out.begin(), out.end());
        return out;
    }

    static CheckLine files() {
        const uint64_t there = runtime::raise_open_files();
        CheckLine line{"open files", std::to_string(there), std::to_string(kOpenFilesMin)};
        line.passed = there >= kOpenFilesMin;
        if (!line.passed) line.advice = "raise the hard limit: `ulimit -Hn`, or LimitNOFILE";
        return line;
    }

    /// Leaders put the time into blocks, and followers refuse what lies too far ahead.
    static CheckLine clock() {
        constexpr int64_t kErrorMax_us = 500'000;
        timex now{};
        const int state = ::adjtimex(&now);
        const bool is_kept = state >= 0 && state != TIME_ERROR && (now.status & STA_UNSYNC) == 0;
        CheckLine line{"clock", "nothing keeps it right", "kept by NTP, within 500 ms"};
        if (is_kept)
            line.actual =
                "right within " + number_text(static_cast<double>(now.maxerror) / 1e3, 1) + " ms";
        line.passed = is_kept && now.maxerror <= kErrorMax_us;
        if (!line.passed) line.advice = "install chrony, or `timedatectl set-ntp true`";
        return line;
    }

    static CheckLine port(const char* name, const char* setting, const std::string& address,
                          uint16_t number) {
        namespace asio = boost::asio;
        CheckLine line{name, address + ":" + std::to_string(number), "free"};
        boost::system::error_code failed;
        const auto where = asio::ip::make_address(address, failed);
        asio::io_context io;
        asio::ip::tcp::acceptor acceptor(io);
        const asio::ip::tcp::endpoint endpoint(where, number);
        if (!failed) acceptor.open(endpoint.protocol(), failed);
        if (!failed) acceptor.set_option(asio::socket_base::reuse_address(true), failed);
        if (!failed) acceptor.bind(endpoint, failed);
        if (!failed) acceptor.listen(1, failed);
        line.passed = !failed;
        if (line.passed) return line;
        line.actual += ": " + failed.message();
        line.advice = "stop what listens there (a node that runs already?), or give another " +
                      std::string(setting);
        return line;
    }

    CheckReport report_;
    const config::NodeConfig& config_;
};

}  // namespace

int run_node_check(const Output& out, const config::NodeConfig& config) {
    return Check(out, config).run();
}

}  // namespace trainyard::node::cli
