#!/usr/bin/env bash
# From an image to a service behind a load balancer, with aws, docker and curl only. Run it as often as you like.
#
#   LISTENER_PORT   where the load balancer listens: 80 where this user may and it is free, 8080 otherwise
#   LONGSHORE_…     go to `longshore up`: LONGSHORE_DATA_DIR, LONGSHORE_PORT, LONGSHORE_REGION
set -Eeuo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/../../.venv/bin:$PATH:/usr/sbin"
export AWS_PAGER=
cluster=default

# shellcheck source=examples/talk.sh
. "$here/../talk.sh"

# --- what is asked more than once -----------------------------------------------------------------------------------
# Task, zone, container instance and the short container id (a container's own host name) of a service's running tasks.
tasks_of() {
    local arns
    arns=$(aws ecs list-tasks --cluster "$cluster" --service-name "$1" --query 'taskArns' --output text)
    [ -n "$arns" ] && [ "$arns" != None ] || return 0
    # shellcheck disable=SC2086  # one argument per ARN
    aws ecs describe-tasks --cluster "$cluster" --tasks $arns --output text \
        --query 'tasks[?lastStatus==`RUNNING`].[taskArn, availabilityZone, containerInstanceArn, containers[0].runtimeId]' |
        while read -r task zone instance container; do
            printf '%s %s %s %s\n' "${task##*/}" "$zone" "${instance##*/}" "${container:0:12}"
        done
}

healthy_targets() {
    aws elbv2 describe-target-health --target-group-arn "$1" \
        --query 'length(TargetHealthDescriptions[?TargetHealth.State==`healthy`])' --output text
}

# --- 1 --------------------------------------------------------------------------------------------------------------
for program in longshore aws docker curl tar; do
    command -v "$program" >/dev/null || fail "the program '$program' is not here" "make setup installs what is missing"
done
[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 ||
    fail "the image is built around a static busybox, and /bin/busybox is none" "apt-get install busybox-static"

step "Start the platform: three container instances in two Availability Zones"
if longshore status >/dev/null 2>&1; then
    say "It runs already."
else
    run longshore up --detach --instances 3 --zones a,b
fi
say '$ eval "$(longshore env)"'
settings=$(longshore env)
eval "$settings"

instances_ready() { [ "$(aws ecs list-container-instances --cluster "$cluster" --query 'length(containerInstanceArns)' --output text)" -ge 1 ]; }
until_true 30 "a container instance" instances_ready
run aws ecs list-attributes --target-type container-instance --attribute-name ecs.availability-zone \
    --query 'attributes[].[targetId, value]' --output text >"$work/instances"
sed 's/^/   /' "$work/instances"
zones=$(cut -f 2 "$work/instances" | sort -u | wc -l)
[ "$zones" -ge 2 ] || say "(This platform has its instances in one zone only; 'make down' first to see two.)"

# --- 2 --------------------------------------------------------------------------------------------------------------
step "Build an image and push it to the registry"
if ! repository=$(aws ecr describe-repositories --repository-names demo/hello --query 'repositories[0].repositoryUri' --output text 2>/dev/null); then
    repository=$(run aws ecr create-repository --repository-name demo/hello --query 'repository.repositoryUri' --output text)
fi
say "repository: $repository"
printf '   %s$ aws ecr get-login-password | docker login --username AWS --password-stdin %s%s\n' "$dim" "${repository%%/*}" "$plain"
aws ecr get-login-password | docker login --username AWS --password-stdin "${repository%%/*}" 2>/dev/null | sed 's/^/   /'
cp -R "$here/image" "$work/image"
cp /bin/busybox "$work/image/"
run docker build --quiet --tag "$repository:1" "$work/image" 2>"$work/build.log" | sed 's/^/   /' || { cat "$work/build.log" >&2; false; }
run docker push --quiet "$repository:1" | sed 's/^/   /'
run aws ecr describe-images --repository-name demo/hello --image-ids imageTag=1 --output text \
    --query 'imageDetails[0].[imageDigest, imageSizeInBytes]' | sed 's/^/   /'

# --- 3 --------------------------------------------------------------------------------------------------------------
step "A load balancer: / goes to one service, /api/* to another"
# Where this user may not listen below 1024, or another program has port 80 already, 8080 does as well.
low=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)
taken() { (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=80
if { [ "$(id -u)" != 0 ] && [ "$low" -gt 80 ]; } || taken 80; then port=8080; fi
port=${LISTENER_PORT:-$port} # for a listener that is there already, its own port is asked for below

vpc=$(run aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
subnets=$(run aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" --query 'Subnets[].SubnetId' --output text)
say "$vpc with $(echo "$subnets" | wc -w) subnets, one in each zone"

if ! load_balancer=$(aws elbv2 describe-load-balancers --names demo --query 'LoadBalancers[0].LoadBalancerArn' --output text 2>/dev/null); then
    # shellcheck disable=SC2086
    load_balancer=$(run aws elbv2 create-load-balancer --name demo --subnets $subnets --query 'LoadBalancers[0].LoadBalancerArn' --output text)
fi
target_group() { # NAME HEALTH-CHECK-PATH
    aws elbv2 describe-target-groups --names "$1" --query 'TargetGroups[0].TargetGroupArn' --output text 2>/dev/null ||
        run aws elbv2 create-target-group --name "$1" --protocol HTTP --port 80 --vpc-id "$vpc" --target-type instance \
            --health-check-path "$2" --health-check-interval-seconds 5 --health-check-timeout-seconds 2 \
            --healthy-threshold-count 2 --unhealthy-threshold-count 2 --query 'TargetGroups[0].TargetGroupArn' --output text
}
web_targets=$(target_group demo-web /)
api_targets=$(target_group demo-api /api/)
for group in "$web_targets" "$api_targets"; do
    aws elbv2 modify-target-group-attributes --target-group-arn "$group" \
        --attributes Key=deregistration_delay.timeout_seconds,Value=5 >/dev/null
done

listener=$(aws elbv2 describe-listeners --load-balancer-arn "$load_balancer" --query 'Listeners[0].ListenerArn' --output text)
if [ "$listener" = None ]; then
    listener=$(run aws elbv2 create-listener --load-balancer-arn "$load_balancer" --protocol HTTP --port "$port" \
        --default-actions "Type=forward,TargetGroupArn=$web_targets" --query 'Listeners[0].ListenerArn' --output text)
    run aws elbv2 create-rule --listener-arn "$listener" --priority 10 --conditions 'Field=path-pattern,Values=/api/*' \
        --actions "Type=forward,TargetGroupArn=$api_targets" --query 'Rules[0].Priority' --output text >/dev/null
fi
run aws elbv2 wait load-balancer-available --load-balancer-arns "$load_balancer"
port=$(aws elbv2 describe-listeners --listener-arns "$listener" --query 'Listeners[0].Port' --output text)
name=$(aws elbv2 describe-load-balancers --load-balancer-arns "$load_balancer" --query 'LoadBalancers[0].DNSName' --output text)
url="http://$name"
[ "$port" = 80 ] || url="$url:$port"
say "it answers at $url"

# --- 4 --------------------------------------------------------------------------------------------------------------
step "Two services: three tasks of web, one of api"
service() { # CONTAINER COUNT TARGET-GROUP
    local container=$1 name=demo-$1 count=$2 targets=$3 definition status
    sed "s|IMAGE|$repository:1|" "$here/task-$container.json" >"$work/task-$container.json"
    definition=$(run aws ecs register-task-definition --cli-input-json "file://$work/task-$container.json" \
        --query 'taskDefinition.taskDefinitionArn' --output text)
    definition=${definition##*/}
    status=$(aws ecs describe-services --cluster "$cluster" --services "$name" --query 'services[0].status' --output text)
    if [ "$status" = ACTIVE ]; then
        say "$name is there already: the new revision rolls out"
        run aws ecs update-service --cluster "$cluster" --service "$name" --task-definition "$definition" --desired-count "$count" \
            --query 'service.status' --output text >/dev/null
    else
        run aws ecs create-service --cluster "$cluster" --service-name "$name" --task-definition "$definition" --desired-count "$count" \
            --load-balancers "targetGroupArn=$targets,containerName=$container,containerPort=80" --query 'service.status' --output text >/dev/null
    fi
}
service web 3 "$web_targets"
service api 1 "$api_targets"
say "waiting until they are stable"
run aws ecs wait services-stable --cluster "$cluster" --services demo-web demo-api

# --- 5 --------------------------------------------------------------------------------------------------------------
step "Ask through the load balancer: answers come from several tasks in two zones"
all_healthy() { [ "$(healthy_targets "$web_targets")" = 3 ] && [ "$(healthy_targets "$api_targets")" = 1 ]; }
until_true 60 "three healthy targets of web and one of api" all_healthy
run curl -fsS "$url/" | sed 's/^/   /'
run curl -fsS "$url/api/" | sed 's/^/   /'
for _ in $(seq 30); do curl -fsS "$url/"; done >"$work/answers"
say "30 answers of web, by task:"
tasks_of demo-web >"$work/tasks"
while read -r task zone instance container; do
    answers=$(grep -c "\"$container\"" "$work/answers" || true)
    printf '   task %s  %s  instance %s  container %s  %3d answers\n' "${task:0:8}" "$zone" "${instance:0:8}" "$container" "$answers"
done <"$work/tasks"
answering=$(grep -o '"container": "[^"]*"' "$work/answers" | sort -u | wc -l)
zones_of_tasks=$(cut -d' ' -f2 "$work/tasks" | sort -u | wc -l)
say "$answering tasks answered, from $zones_of_tasks zones"
[ "$answering" = 3 ] || fail "answers came from $answering tasks, not from 3"

# --- 6 --------------------------------------------------------------------------------------------------------------
step "Kill a container: the service replaces it"
victim=$(head -n 1 "$work/tasks" | cut -d' ' -f4)
killed_at=$(date +%s%N)
run docker kill "$victim" | sed 's/^/   /'
replaced() {
    tasks_of demo-web >"$work/tasks"
    [ "$(wc -l <"$work/tasks")" = 3 ] && ! grep -q " $victim\$" "$work/tasks"
}
until_true 60 "the replacement" replaced
say "three tasks run again, seen $((($(date +%s%N) - killed_at) / 1000000)) ms after the kill:"
while read -r task zone instance container; do
    printf '   task %s  %s  instance %s  container %s\n' "${task:0:8}" "$zone" "${instance:0:8}" "$container"
done <"$work/tasks"
until_true 60 "three healthy targets" all_healthy
say "what the service says about it:"
run aws ecs describe-services --cluster "$cluster" --services demo-web --query 'services[0].events[:4].[message]' --output text | sed 's/^/   /'

# --- 7 --------------------------------------------------------------------------------------------------------------
cat <<END

${bold}It runs. What to try next${plain}
   eval "\$(longshore env)"                       point aws, boto3 and terraform here (longshore is in .venv/bin)
   curl $url/
   aws ecs update-service --service demo-web --desired-count 5
   aws ecs list-tasks --service-name demo-web
   aws elbv2 describe-target-health --target-group-arn $web_targets
   longshore status
   make down                                     stop everything; this demo, or longshore up, brings it back
END
