package bench

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// machine is what a reader needs to compare two reports.
type machine struct {
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"`
	Go         string `json:"go"`
	CometBFT   string `json:"cometbft_module"`
	// LoadBefore is the load average of the last minute before the run.
	LoadBefore float64 `json:"load_before"`
}

// busy: what others did at the same time may be most of what was measured.
func (m machine) busy() bool { return m.LoadBefore > 0.3*float64(m.Processors) }

// File systems by the magic numbers of statfs(2). What keeps nothing on a disk
// would make every sync free, and the figures worthless.
var fileSystems = map[int64]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlayfs", 0x2fc12fc1: "zfs",
	0x01021994: volatile, 0x858458f6: volatile,
}

const volatile = "memory"

// describeMachine refuses a work folder that lives in memory.
func describeMachine(folder string) (machine, error) {
	m := machine{Processors: runtime.NumCPU(), Go: runtime.Version(), Processor: "unknown", CometBFT: "unknown"}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil {
		return m, err
	}
	name, known := fileSystems[int64(fs.Type)]
	switch {
	case !known:
		name = fmt.Sprintf("0x%x", fs.Type)
	case name == volatile:
		return m, fmt.Errorf("%s is in memory, where a sync costs nothing: give --dir a folder on a disk", folder)
	}
	m.FileSystem = name
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.LoadBefore, _ = strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if label, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(label) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/cometbft/cometbft" {
				m.CometBFT = module.Version
			}
		}
	}
	return m, nil
}
