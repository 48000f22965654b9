"""Load balancers of this machine: what configures HAProxy, who reads what it did, and who tells the machine their names."""

from __future__ import annotations

from longshore.balancer.access_log.process import LogReader
from longshore.balancer.controller import Balancer
from longshore.balancer.hosts_file import HostsFile
from longshore.config import LOCAL_DOMAIN, DataDirectory
from longshore.kept import CannotStart
from longshore.opening import Holdings
from longshore.running import Setting
from longshore.services.elbv2.seats import Seats


class Balancing:
    def __init__(self, setting: Setting, held: Holdings, seats: Seats) -> None:
        config = setting.config
        data = DataDirectory(config.data_dir)
        self._setting = setting
        self._held = held
        self.seats = seats
        self.balancer = Balancer(
            seats.own,
            setting.clock,
            setting.ids,
            setting.site,
            config.data_dir / "run" / "haproxy",
            config.haproxy,
            network=config.load_balancer_network,
            link_network=config.link_network,
            public_address=config.load_balancer_address,
            privileged_port_offset=config.privileged_port_offset,
            installation_secret=held.keys,
            authority=data.ca_file,
            log_file=data.log_file("haproxy"),
        )
        state = config.data_dir / "run" / "access-logs"
        self.collector = self.balancer.measured(held.metrics, state)
        self._log_reader = LogReader(
            self.balancer.own_places, state, config.data_dir / "buckets", data.log_file("access-logs"), setting.clock
        )

    async def begin(self) -> None:
        """Raises CannotStart."""
        config, running = self._setting.config, self._setting.running
        try:
            await self.balancer.start()
        except OSError as problem:
            cause = f"the files of load balancers cannot be made: {problem}"
            raise CannotStart(cause, "see to what it names, or choose another --data-dir") from None
        running.ends_with(self._log_reader.stop)  # once HAProxy has written its last line
        running.begin(self._log_reader.run(), "access-logs")
        running.begin(self.collector.run(), "metrics")
        running.ends_with(self.balancer.stop)
        if config.load_balancer_domain != LOCAL_DOMAIN:  # whose names are found without anybody's help
            hosts_file = HostsFile(self._held.store, config.load_balancer_network, config.data_dir)
            running.begin(hosts_file.run(), "hosts-file")
            running.ends_with(hosts_file.forget)
