#!/usr/bin/env bash
# What can go wrong with a service, and what is done about it: an instance is emptied, a version does not start, a zone is lost, a task
# fits nowhere. On a platform of the demo's own, which is gone afterwards. With aws, docker and curl; what AWS cannot say, longshore says.
#
#   PORT            where the platform listens, 4577 unless given
#   LISTENER_PORT   where the load balancer listens, the port after it unless given
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/../../.venv/bin:$PATH:/usr/sbin"
export AWS_PAGER=
port=${PORT:-4577}
listener_port=${LISTENER_PORT:-$((port + 1))}

# shellcheck source=examples/talk.sh
. "$here/../talk.sh"

export LONGSHORE_DATA_DIR=$work/data
visitor=
end() {
    [ -z "$visitor" ] || kill "$visitor" 2>/dev/null || true
    longshore down >/dev/null 2>&1 || true
    # An agent keeps what has stopped for a while, to be looked at; nobody will look at these.
    for instance in "$LONGSHORE_DATA_DIR"/agents/*/instance-id; do
        [ -r "$instance" ] || continue
        docker ps --all --quiet --filter "label=longshore.instance=$(cat "$instance")" | xargs -r docker rm --force --volumes >/dev/null 2>&1 || true
    done
    [ -z "${repository:-}" ] || docker rmi --force "$repository:good" "$repository:bad" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT

# --- what is asked more than once -----------------------------------------------------------------------------------
tasks() { # task, zone and instance of every running task of web
    local arns
    arns=$(aws ecs list-tasks --service-name web --query taskArns --output text)
    [ -n "$arns" ] && [ "$arns" != None ] || return 0
    # shellcheck disable=SC2086  # one argument per ARN
    aws ecs describe-tasks --tasks $arns --output text \
        --query 'tasks[?lastStatus==`RUNNING` && desiredStatus==`RUNNING`].[taskArn, availabilityZone, containerInstanceArn]' |
        sed -E 's|arn:[^ \t]*/||g' | sort -k 2
}
show_tasks() { tasks | while read -r task zone instance; do say "task ${task:0:8}  $zone  instance ${instance:0:8}"; done; }
of_service() { aws ecs describe-services --services web --query "services[0].$1" --output text; }
# What the service has written down since the event $1, oldest first, in Amazon ECS's words.
events() {
    aws ecs describe-services --services web --query 'services[0].events[].[id, message]' --output text |
        awk -F '\t' -v seen="$1" '$1 == seen { old = 1 } !old { print "   " $2 }' | tac
}
last_event() { of_service 'events[0].id'; }

# Asks for the page again and again on new connections, and writes down what the answers were.
visit() {
    while :; do curl -s -o /dev/null -m 5 -w '%{http_code}\n' "$url/" >>"$work/visits" || true; done
}
visitors() { # what they met since they were last asked
    local all failed
    all=$(wc -l <"$work/visits")
    failed=$(grep -vc '^200$' "$work/visits" || true)
    : >"$work/visits"
    say "meanwhile $all requests through the load balancer, $failed of them failed"
    [ "$failed" = 0 ] || fail "no request was to fail"
}

# --- 1 --------------------------------------------------------------------------------------------------------------
for program in longshore aws docker curl; do
    command -v "$program" >/dev/null || fail "the program '$program' is not here" "make setup installs what is missing"
done

step "Three container instances in three zones, and a service behind a load balancer"
run longshore up --detach --port "$port" --instances 3 --zones a,b,c >/dev/null
settings=$(longshore env)
eval "$settings"
repository=$(aws ecr create-repository --repository-name web --query 'repository.repositoryUri' --output text)
aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}" >/dev/null 2>&1
cp -R "$here/../01-first-service/image" "$work/image"
cp /bin/busybox "$work/image/"
built() { docker build --quiet --tag "$repository:$1" "$work/image" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; false; }; }
built good
printf '#!/bin/sh\necho "reading the configuration"\necho "cannot reach database db.internal:5432: no such host" >&2\nexit 3\n' >"$work/image/serve"
built bad
for tag in good bad; do docker push --quiet "$repository:$tag" >/dev/null; done

vpc=$(aws ec2 describe-vpcs --query 'Vpcs[0].VpcId' --output text)
# shellcheck disable=SC2046
balancer=$(aws elbv2 create-load-balancer --name web --query 'LoadBalancers[0].LoadBalancerArn' --output text \
    --subnets $(aws ec2 describe-subnets --query 'Subnets[].SubnetId' --output text))
targets=$(aws elbv2 create-target-group --name web --protocol HTTP --port 80 --vpc-id "$vpc" --query 'TargetGroups[0].TargetGroupArn' --output text \
    --health-check-interval-seconds 5 --health-check-timeout-seconds 2 --healthy-threshold-count 2)
aws elbv2 modify-target-group-attributes --target-group-arn "$targets" --attributes Key=deregistration_delay.timeout_seconds,Value=2 >/dev/null
aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTP --port "$listener_port" \
    --default-actions "Type=forward,TargetGroupArn=$targets" >/dev/null
aws elbv2 wait load-balancer-available --load-balancer-arns "$balancer"
url="http://$(aws elbv2 describe-load-balancers --query 'LoadBalancers[0].DNSName' --output text):$listener_port"

instances() { aws ecs list-container-instances --query 'length(containerInstanceArns)' --output text; }
three_instances() { [ "$(instances)" = 3 ]; }
until_true 30 "three container instances" three_instances
aws ecs register-task-definition --family web --container-definitions "[{\"name\": \"web\", \"image\": \"$repository:good\",
    \"cpu\": 64, \"memory\": 32, \"stopTimeout\": 2, \"portMappings\": [{\"containerPort\": 80}]}]" >/dev/null
run aws ecs create-service --service-name web --task-definition web --desired-count 3 --enable-execute-command \
    --deployment-configuration 'deploymentCircuitBreaker={enable=true,rollback=true}' \
    --load-balancers "targetGroupArn=$targets,containerName=web,containerPort=80" --query 'service.status' --output text >/dev/null
run aws ecs wait services-stable --services web
show_tasks
answers() { curl -fsS -o /dev/null -m 5 "$url/" 2>/dev/null; }
until_true 30 "the load balancer to answer at $url" answers
: >"$work/visits"
visit &
visitor=$!

# --- 2 --------------------------------------------------------------------------------------------------------------
step "Empty an instance while people visit: its task moves, and nobody notices"
read -r _ zone instance <<<"$(tasks | head -n 1)"
before=$(last_event)
run aws ecs update-container-instances-state --container-instances "$instance" --status DRAINING \
    --query 'containerInstances[0].status' --output text | sed 's/^/   /'
empty() { [ "$(aws ecs describe-container-instances --container-instances "$instance" --query 'containerInstances[0].runningTasksCount' --output text)" = 0 ]; }
until_true 60 "the instance to be empty" empty
run aws ecs wait services-stable --services web
show_tasks
visitors
events "$before"
run aws ecs update-container-instances-state --container-instances "$instance" --status ACTIVE \
    --query 'containerInstances[0].status' --output text | sed 's/^/   /'

# --- 3 --------------------------------------------------------------------------------------------------------------
step "Deploy a version that does not start: it is taken back, and says itself what was wrong"
run longshore service deploy web --image "$repository:bad" 2>&1 | sed 's/^/   /' || true
good() { [ "$(of_service 'length(deployments)')" = 1 ] && [ "$(of_service 'runningCount')" = 3 ]; }
until_true 120 "the service to be what it was" good
visitors
show_tasks

# --- 4 --------------------------------------------------------------------------------------------------------------
step "Lose a zone: first in thought, then its instance is gone from one moment to the next"
read -r _ zone instance <<<"$(tasks | head -n 1)"
run longshore explain service web --if-lost "$zone" | sed 's/^/   /' || true
before=$(last_event)
run aws ecs deregister-container-instance --container-instance "$instance" --force --query 'containerInstance.status' --output text | sed 's/^/   /'
elsewhere() { [ "$(tasks | wc -l)" = 3 ] && ! tasks | grep -q "$instance"; }
until_true 60 "three tasks elsewhere" elsewhere
run aws ecs wait services-stable --services web
show_tasks
visitors
events "$before"

# --- 5 --------------------------------------------------------------------------------------------------------------
step "A task that fits nowhere: which instance comes closest, and what it lacks"
run longshore explain placement --task-definition web --memory 500000 --constraint 'attribute:ecs.availability-zone == us-east-1z' | sed 's/^/   /' || true

# --- 6 --------------------------------------------------------------------------------------------------------------
step "Look inside a container"
task=$(tasks | head -n 1 | cut -f 1)
run longshore exec "${task:0:8}" -- /bin/sh -c 'echo "$(hostname): $(ls /www/cgi-bin)"' | sed 's/^/   /'
echo
say "That was it; the demo's platform goes away."
